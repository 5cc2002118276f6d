// --device, for every command that runs a network.
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

}  // namespace bp::app
