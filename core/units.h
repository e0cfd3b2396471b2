#pragma once

#include <nanobind/nanobind.h>

namespace hornbook {
void bind_units(nanobind::module_& module);
}
