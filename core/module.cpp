// The compiled core. Every part has a reference in Python that defines its results; see hornbook/kernels.py.
#include "bindings.h"

NB_MODULE(_core, module) {
    module.doc() = "The compiled core of hornbook.";
    hornbook::bind_unit_terms(module);
    hornbook::bind_search(module);
    hornbook::bind_units(module);
    hornbook::bind_keywords(module);
}
