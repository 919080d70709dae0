// SPDX-License-Identifier: Apache-2.0
// `bcai vm` and what is below it.
#include <CLI/CLI.hpp>

#include "cli/declarations.h"

namespace bcai::cli {

CLI::App* Declarations::add_vm(CLI::App* vm, const char* name, const char* meaning,
                               const char* example, VmOptions::Verb verb) {
  CLI::App* app = add(vm, name, meaning, example, [this, verb] {
    vm_.verb = verb;
    return vm_;
  });
  if (verb != VmOptions::Verb::kIsa && verb != VmOptions::Verb::kImport) {
    app->add_option("PROGRAM", vm_.program, "In text or binary form; - is standard input")
        ->required();
  }
  return app;
}

void Declarations::add_vm_commands() {
  CLI::App* vm =
      add(app_.get(), "vm", "Native programs: verified, priced, the same bits everywhere",
          "bcai vm quote model.bcvm", [this] { return vm_; });
  vm->require_subcommand(1);
  const auto add_output = [this](CLI::App* app, const char* meaning) {
    app->add_option("-o,--output", vm_.output, meaning)->type_name("FILE");
  };
  add_output(add_vm(vm, "as", "Verifies a program and writes its binary form",
                    "bcai vm as model.bcasm -o model.bcvm", VmOptions::Verb::kAssemble),
             "The file, or -; PROGRAM with .bcvm otherwise");
  add_output(add_vm(vm, "dis", "Prints a program's canonical text", "bcai vm dis model.bcvm",
                    VmOptions::Verb::kDisassemble),
             "A file instead of standard output");
  add_output(add_vm_import(vm),
             "The program; an ONNX model's weights go beside it as .safetensors");
  CLI::App* verify = add_vm(vm, "verify", "Checks every rule and prints every finding",
                            "bcai vm verify model.bcvm", VmOptions::Verb::kVerify);
  verify->add_flag("--json", vm_.json, "JSON");
  CLI::App* isa = add_vm(vm, "isa", "Lists the instructions", "bcai vm isa", VmOptions::Verb::kIsa);
  isa->add_flag("--json", vm_.json, "JSON");
  isa->add_flag("--markdown", vm_.markdown, "The reference page");
  add_vm_planning(vm);
  add_vm_runs(vm);
}

void Declarations::add_weights(CLI::App* app) {
  app->add_option("--weights", vm_.weights,
                  "A safetensors file the program names by digest; kept for later (repeatable)")
      ->type_name("FILE")
      ->allow_extra_args(false);
}

void Declarations::add_threads(CLI::App* app) {
  app->add_option("--threads", vm_.threads, "All cores otherwise; changes no bit")
      ->type_name("N")
      ->check(CLI::Range(1, 256));
}

void Declarations::add_simd_level(CLI::App* app) {
  app->add_option("--simd-level", vm_.simd_level,
                  "portable, avx2 or avx512; the widest otherwise; changes no bit")
      ->type_name("LEVEL");
}

CLI::App* Declarations::add_vm_import(CLI::App* vm) {
  CLI::App* import =
      add_vm(vm, "import", "Turns an ONNX model or a Hugging Face directory into a program",
             "bcai vm import model.onnx -o model.bcvm", VmOptions::Verb::kImport);
  import->add_option("MODEL", vm_.program, "An .onnx file, or a directory with config.json")
      ->required();
  import->add_option("--shape", vm_.shapes, "Of ONNX: an input's whole shape (repeatable)")
      ->type_name("NAME=N,N,…")
      ->allow_extra_args(false);
  import
      ->add_option("--value", vm_.values,
                   "Of ONNX: an input that is a constant instead, its numbers or .npy file: "
                   "integers are i64, others f32 (repeatable)")
      ->type_name("NAME=N,…")
      ->allow_extra_args(false);
  const auto add_count = [import](const char* name, int64_t& count, const char* meaning) {
    import->add_option(name, count, meaning)->type_name("N")->check(CLI::Range(1, 1 << 30));
  };
  add_count("--batch", vm_.batch, "Of a directory: the largest batch, 64 otherwise");
  add_count("--sequence", vm_.sequence, "Of a directory: the most tokens of one run");
  add_count("--cache", vm_.cache, "Of a decoder: the most tokens it remembers, 2048 otherwise");
  return import;
}

void Declarations::add_vm_planning(CLI::App* vm) {
  CLI::App* quote = add_vm(vm, "quote", "What a run costs, before it runs",
                           "bcai vm quote model.bcvm --symbol B=8", VmOptions::Verb::kQuote);
  quote->add_flag("--json", vm_.json, "JSON");
  CLI::App* compile =
      add_vm(vm, "compile", "Makes the plan of a run and shows its size; --explain: all",
             "bcai vm compile model.bcvm --symbol B=8 --explain", VmOptions::Verb::kCompile);
  compile->add_flag("--explain", vm_.explain,
                    "Launches, their backends and times, buffers and lifetimes");
  CLI::App* bench = add_vm(vm, "bench", "Runs a program again and again: how long, and where",
                           "bcai vm bench model.bcvm --symbol B=1", VmOptions::Verb::kBench);
  bench->add_flag("--json", vm_.json, "JSON");
  bench->add_option("--runs", vm_.runs, "How often")->type_name("N")->check(CLI::Range(1, 100000));
  add_weights(bench);
  for (CLI::App* app : {quote, compile, bench}) {
    add_threads(app);
    app->add_flag("--measure", vm_.measure,
                  "Measures this machine again: what the estimated time is worked out from");
  }
  for (CLI::App* app : {quote, compile, bench}) {
    app->add_option("--symbol", vm_.bindings,
                    "A symbol's value; its largest otherwise (repeatable)")
        ->type_name("NAME=N")
        ->allow_extra_args(false);
  }
}

void Declarations::add_vm_runs(CLI::App* vm) {
  CLI::App* run =
      add_vm(vm, "run", "Runs a program on this machine's processor",
             "bcai vm run model.bcvm --input x=x.npy --output-dir out", VmOptions::Verb::kRun);
  CLI::App* check =
      add_vm(vm, "check", "Runs again and compares with a receipt",
             "bcai vm check model.bcvm receipt.json --input x=x.npy", VmOptions::Verb::kCheck);
  check->add_option("RECEIPT", vm_.receipt, "What a run committed to")->required();
  for (CLI::App* app : {run, check}) {
    app->add_option("--input", vm_.inputs, "An input and its .npy file (repeatable)")
        ->type_name("NAME=FILE")
        ->allow_extra_args(false);
    app->add_option("--value", vm_.values,
                    "An input of at most one axis, by its numbers (repeatable)")
        ->type_name("NAME=N,…")
        ->allow_extra_args(false);
    add_weights(app);
    add_threads(app);
    add_simd_level(app);
    app->add_flag("--json", vm_.json, "JSON");
  }
  run->add_option("--output-dir", vm_.output, "Writes the results here, as .npy")->type_name("DIR");
  CLI::Option* reference = run->add_flag("--reference", vm_.reference,
                                         "On the reference backend: slow, and the same bits");
  CLI::Option* receipt = run->add_option("--receipt", vm_.receipt, "Writes what the run commits to")
                             ->type_name("FILE");
  CLI::Option* as_job = run->add_option("--as-job", vm_.as_job,
                                        "Leaves in this directory what a job of the network does")
                            ->type_name("DIR");
  run->add_flag("--trace", vm_.trace, "The receipt with a root for every instruction; no fusion")
      ->check([receipt, as_job](const std::string&) -> std::string {
        return receipt->count() + as_job->count() > 0 ? "" : "needs --receipt";
      });
  run->add_option("--profile", vm_.profile,
                  "Prints where the time went, and writes a Chrome trace here")
      ->type_name("FILE")
      ->excludes(reference);
}

}  // namespace bcai::cli
