// Arrays that pass between Python and the core without a copy.
#pragma once

#include <nanobind/nanobind.h>
#include <nanobind/ndarray.h>

#include <cstdint>
#include <memory>
#include <stdexcept>
#include <string_view>
#include <utility>
#include <vector>

namespace hornbook {

namespace nb = nanobind;

template <class T>
using In = nb::ndarray<const T, nb::ndim<1>, nb::c_contig, nb::device::cpu>;

template <class T>
using Out = nb::ndarray<nb::numpy, T, nb::ndim<1>>;

// Moves a vector into a NumPy array.
template <class T>
Out<T> give(std::vector<T>&& values) {
    auto vector = std::make_unique<std::vector<T>>(std::move(values));
    nb::capsule owner(vector.get(), [](void* p) noexcept { delete static_cast<std::vector<T>*>(p); });
    auto* const owned = vector.release();
    return Out<T>(owned->data(), {owned->size()}, owner);
}

template <class T>
Out<T> give(std::unique_ptr<T[]>&& values, size_t size) {
    nb::capsule owner(values.get(), [](void* p) noexcept { delete[] static_cast<T*>(p); });
    return Out<T>(values.release(), {size}, owner);
}

// Texts in Arrow's layout: text i is data[offsets[i]:offsets[i + 1]].
struct Texts {
    const int32_t* offsets;
    const char* data;
    size_t size;

    // Throws std::invalid_argument unless the offsets rise within the data.
    Texts(const In<int32_t>& o, const In<uint8_t>& d)
        : offsets(o.data()), data(reinterpret_cast<const char*>(d.data())), size(o.size() ? o.size() - 1 : 0) {
        bool rising = !o.size() || (offsets[0] >= 0 && static_cast<size_t>(offsets[size]) <= d.size());
        for (size_t i = 0; i < size; ++i) rising &= offsets[i] <= offsets[i + 1];
        if (!rising) throw std::invalid_argument("the offsets of texts do not rise within their data");
    }

    std::string_view operator[](size_t i) const {
        return {data + offsets[i], static_cast<size_t>(offsets[i + 1] - offsets[i])};
    }
};

}  // namespace hornbook
