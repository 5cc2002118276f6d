// The command line: one function per subcommand registers its options and what to do.
#pragma once
#include <CLI/CLI.hpp>
#include <cstdint>
#include <string>
#include <vector>

namespace bp::app {

// Parses and runs. Every error ends in one line on stderr and exit code 1; wrong arguments in CLI11's message
// and its code; Ctrl-C in 130.
int run(int argc, char** argv);

void add_annotate(CLI::App& app);
void add_boxes(CLI::App& app);
void add_teach(CLI::App& app);
void add_segment(CLI::App& app);
void add_locate(CLI::App& app);
void add_model(CLI::App& app);
void add_weights(CLI::App& app);
void add_train(CLI::App& app);
void add_eval(CLI::App& app);
void add_synth(CLI::App& app);
void add_devices(CLI::App& app);

// Pixels of --tile, 0 where no number follows it; Error for anything else.
std::int64_t window_side(const std::string& given);

// Lines to stderr behind a prefix, of many only a screenful.
void list_lines(const std::vector<std::string>& lines, const char* prefix);

// Work that was interrupted on request: `what` says how to go on.
class Interrupted : public std::runtime_error {
 public:
  using std::runtime_error::runtime_error;
};

}  // namespace bp::app
