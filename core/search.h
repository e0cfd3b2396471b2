#pragma once

#include <nanobind/nanobind.h>

namespace hornbook {
void bind_search(nanobind::module_& module);
}
