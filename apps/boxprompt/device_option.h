// --device and --dtype, for every command that runs a network.
#pragma once
#include <CLI/CLI.hpp>
#include <string>

#include "engine/device.h"

namespace bp::app {

// parse_device() of what is in `device` when the command runs says what it stands for.
inline void add_device_option(CLI::App* command, std::string& device) {
  device = "auto";
  command
      ->add_option(
          "--device", device,
          "cpu, cuda, cuda:N (a number of `boxprompt devices`), simt (emulated CUDA, slow), or auto: "
          "CUDA where it can be used, else the processor")
      ->type_name("DEVICE")
      ->capture_default_str();
}

// `what` is done in bf16 where that is asked for: "The image encoder".
inline void add_dtype_option(CLI::App* command, DType& dtype, const std::string& what) {
  command
      ->add_option_function<std::string>(
          "--dtype", [&dtype](const std::string& name) { dtype = name == "bf16" ? DType::bf16 : DType::f32; },
          what + " in f32, or in bf16: half the memory, and faster where the device computes in it")
      ->check(CLI::IsMember({"f32", "bf16"}))
      ->default_str("f32");
}

}  // namespace bp::app
