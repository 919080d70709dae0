# SPDX-License-Identifier: Apache-2.0
# bcai_embed(TARGET FUNCTION FILE...): the bytes of the files in the library, as
#   std::string_view FUNCTION(std::string_view name);   // empty when there is no such file
#   std::span<const std::string_view> FUNCTION_names();
# in namespace bcai, declared in "<FUNCTION>.h". The name is the path as written in the list; of an
# entry NAME=PATH it is NAME.
function(bcai_embed target function)
  set(dir ${CMAKE_CURRENT_BINARY_DIR}/${function})
  set(assembly ".section .rodata\n")
  set(externs "")
  set(table "")
  set(names "")
  set(index 0)
  set(inputs "")
  foreach(file IN LISTS ARGN)
    set(symbol bcai_${function}_${index})
    set(name ${file})
    if(file MATCHES "^([^=]+)=(.+)$")
      set(name ${CMAKE_MATCH_1})
      set(file ${CMAKE_MATCH_2})
    endif()
    cmake_path(ABSOLUTE_PATH file BASE_DIRECTORY ${CMAKE_CURRENT_SOURCE_DIR} OUTPUT_VARIABLE path)
    list(APPEND inputs ${path})
    string(APPEND assembly
      ".global ${symbol}\n${symbol}:\n.incbin \"${path}\"\n"
      ".global ${symbol}_end\n${symbol}_end:\n.byte 0\n")
    string(APPEND externs "extern const char ${symbol}[];\nextern const char ${symbol}_end[];\n")
    string(APPEND table
      "  if (name == \"${name}\") return {${symbol}, static_cast<size_t>(${symbol}_end - ${symbol})};\n")
    string(APPEND names "\"${name}\", ")
    math(EXPR index "${index} + 1")
  endforeach()
  string(APPEND assembly ".section .note.GNU-stack,\"\",@progbits\n")
  file(CONFIGURE OUTPUT ${dir}/${function}.S CONTENT "${assembly}" @ONLY)
  file(CONFIGURE OUTPUT ${dir}/${function}.h CONTENT
"#pragma once
#include <span>
#include <string_view>
namespace bcai {
std::string_view ${function}(std::string_view name);
std::span<const std::string_view> ${function}_names();
}
" @ONLY)
  file(CONFIGURE OUTPUT ${dir}/${function}.cc CONTENT
"#include \"${function}.h\"
extern \"C\" {
${externs}}
namespace bcai {
std::string_view ${function}(std::string_view name) {
${table}  return {};
}
std::span<const std::string_view> ${function}_names() {
  static constexpr std::string_view kNames[] = {${names}};
  return kNames;
}
}
" @ONLY)
  set_source_files_properties(${dir}/${function}.S PROPERTIES OBJECT_DEPENDS "${inputs}")
  target_sources(${target} PRIVATE ${dir}/${function}.S ${dir}/${function}.cc)
  target_include_directories(${target} PUBLIC ${dir})
endfunction()
