// What each part of the core adds to the Python module.
#pragma once

#include <nanobind/nanobind.h>

namespace hornbook {

void bind_keywords(nanobind::module_& module);
void bind_search(nanobind::module_& module);
void bind_unit_terms(nanobind::module_& module);
void bind_units(nanobind::module_& module);

}  // namespace hornbook
