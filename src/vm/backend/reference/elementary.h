// SPDX-License-Identifier: Apache-2.0
// The elementary functions of profile n1, one number at a time.
#pragma once

#include <string_view>

#include "vm/isa/choices.h"

namespace bcai::vm::reference {

float exp_n1(float x);
float log_n1(float x);
float tanh_n1(float x);
float sigmoid_n1(float x);
// Any f32 function of numerics' table by its name there ("exp", "gelu_tanh").
float apply_n1(std::string_view name, float x);
float pow_n1(float x, float y);

float canonical(float x);  // a NaN becomes 0x7fc00000
float maximum(float a, float b);
float minimum(float a, float b);
float activate(Activation activation, float x);

}  // namespace bcai::vm::reference
