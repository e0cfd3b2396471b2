#pragma once

#include <nanobind/nanobind.h>

namespace hornbook {
void bind_terms(nanobind::module_& module);
}
