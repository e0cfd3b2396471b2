// The compiled core. Each part has a slow reference in Python that defines what it must do.
#include <nanobind/nanobind.h>

#include "rake.h"
#include "search.h"
#include "terms.h"
#include "units.h"

NB_MODULE(_core, module) {
    module.doc() = "The compiled core of hornbook.";
    hornbook::bind_terms(module);
    hornbook::bind_search(module);
    hornbook::bind_units(module);
    hornbook::bind_rake(module);
}
