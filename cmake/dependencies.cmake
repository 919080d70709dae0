# SPDX-License-Identifier: Apache-2.0
# The libraries, all packages of Debian 12 and Ubuntu 24.04, as targets that rooms link by name.
find_package(PkgConfig REQUIRED)
find_package(Threads REQUIRED)
find_package(OpenSSL REQUIRED)
find_package(Boost 1.81 REQUIRED)
find_package(CURL REQUIRED)
find_package(SQLite3 REQUIRED)
find_package(fmt REQUIRED)
find_package(spdlog REQUIRED)
find_package(CLI11 REQUIRED)
find_package(prometheus-cpp REQUIRED)
pkg_check_modules(sodium REQUIRED IMPORTED_TARGET libsodium)
pkg_check_modules(yaml REQUIRED IMPORTED_TARGET yaml-0.1)
pkg_check_modules(seccomp REQUIRED IMPORTED_TARGET libseccomp)
if(BCAI_TESTS)
  find_package(GTest REQUIRED)
  enable_testing()
endif()

# The macros that change Boost's layouts are set once, for every file that sees Boost.
add_library(bcai_boost INTERFACE)
target_link_libraries(bcai_boost INTERFACE Boost::headers Threads::Threads)
target_compile_definitions(bcai_boost INTERFACE BOOST_ASIO_NO_DEPRECATED
                           BOOST_ASIO_DISABLE_BOOST_COROUTINE)
