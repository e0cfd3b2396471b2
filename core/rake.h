#pragma once

#include <nanobind/nanobind.h>

namespace hornbook {
void bind_rake(nanobind::module_& module);
}
