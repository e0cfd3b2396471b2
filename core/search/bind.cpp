#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include "../bindings.h"
#include "../simd.h"
#include "hits.h"
#include "search.h"

namespace hornbook {

void bind_search(nb::module_& module) {
    nb::class_<Block>(module, "Block")
        .def("__init__", [](Block* block, In<int64_t> units, In<uint32_t> lengths, In<uint32_t> length_ends,
                            In<uint32_t> sparse_ends, In<uint16_t> sparse_windows, In<uint8_t> sparse_rows,
                            In<uint32_t> dense_terms, In<uint32_t> dense_ends, In<uint64_t> window_bits,
                            In<uint8_t> dense_rows, In<uint32_t> repeat_terms, In<uint32_t> repeat_ends,
                            In<uint32_t> repeat_rows, In<uint32_t> repeat_counts) {
            new (block) Block{units,      lengths,    length_ends, sparse_ends,  sparse_windows, sparse_rows, dense_terms,
                              dense_ends, window_bits, dense_rows, repeat_terms, repeat_ends,    repeat_rows, repeat_counts};
        });
    nb::class_<Search>(module, "Search")
        .def(nb::init<const In<uint64_t>&, const In<uint32_t>&, const In<uint32_t>&, const In<double>&,
                      const In<uint32_t>&, const In<double>&, double, double, double, size_t>(),
             nb::arg("starts"), nb::arg("indices"), nb::arg("counts"), nb::arg("idf"), nb::arg("k"),
             nb::arg("thresholds"), nb::arg("k1"), nb::arg("b"), nb::arg("mean_length"), nb::arg("threads"))
        .def("add", &Search::add, nb::arg("blocks"), nb::arg("ids"))
        .def("hits", &Search::hits);
    module.def("instructions", &instructions);
    module.def("use_instructions", &use_instructions, nb::arg("name"));
    module.def("look_up", &look_up, nb::arg("offsets"), nb::arg("data"), nb::arg("dictionary_offsets"),
               nb::arg("dictionary_data"));
    module.def("merge", &merge, nb::arg("k"), nb::arg("parts"), nb::arg("padded"), nb::arg("threads"));
}

}  // namespace hornbook
