#include "apps/boxprompt/cli.h"

#include <algorithm>
#include <iostream>
#include <memory>
#include <new>

#include "apps/iml/files.h"
#include "engine/error.h"
#include "kernels/threads.h"

namespace bp::app {
namespace {

// "boxprompt weights make": the command as far as it was understood.
std::string named(const CLI::App& app) {
  std::string name = app.get_name();
  for (const CLI::App* sub : app.get_subcommands()) name += " " + named(*sub);
  return name;
}

}  // namespace

void list_lines(const std::vector<std::string>& lines, const char* prefix) {
  constexpr std::size_t kShown = 20;
  for (std::size_t i = 0; i < std::min(kShown, lines.size()); ++i)
    std::cerr << prefix << one_line(lines[i]) << '\n';
  if (lines.size() > kShown) std::cerr << prefix << "and " << lines.size() - kShown << " more\n";
}

int run(int argc, char** argv) {
  CLI::App app{
      "BoxPrompt: a coarse box around a manipulated region becomes a pixel mask (BoxPromptIML, arXiv "
      "2511.20359).\n"
      "The teacher, a frozen SAM, turns images and boxes into pseudo masks.",
      "boxprompt"};
  app.set_version_flag("--version", std::string("boxprompt ") + BOXPROMPT_VERSION);
  app.require_subcommand(1);
  app.fallthrough();
  int threads = 0;
  app.add_option("--threads", threads, "CPU threads, 0 for all cores this process may use")
      ->check(CLI::Range(0, 4096))
      ->capture_default_str();
  app.footer(
      "Examples:\n"
      "  boxprompt annotate photos/ --weights mobile_sam.pt\n"
      "  boxprompt teach photos/ --boxes boxes.json --weights sam_vit_b_01ec64.pth -o masks/ --preview\n"
      "  boxprompt segment photo.jpg --box 120,100,420,320 --weights mobile_sam.pt -o mask.png\n"
      "  boxprompt locate photos/ -o out/\n"
      "  boxprompt eval --masks maps/ --against Gt/ --protocol paper\n"
      "  boxprompt synth photos/ -o set/ --count 1000\n"
      "  boxprompt weights inspect sam_vit_b_01ec64.pth\n"
      "'boxprompt COMMAND --help' explains a command.");
  add_annotate(app);
  add_teach(app);
  add_segment(app);
  add_train(app);
  add_locate(app);
  add_eval(app);
  add_synth(app);
  add_boxes(app);
  add_model(app);
  add_weights(app);
  add_devices(app);
  app.parse_complete_callback([&] { set_threads(threads); });

  try {
    app.parse(argc, argv);
    std::cout.flush();
    if (!std::cout) throw std::runtime_error("standard output: cannot write");
    return 0;
  } catch (const CLI::ParseError& e) {
    if (e.get_exit_code() == 0) return app.exit(e);  // --help, --version
    std::string why = e.what();
    if (argc > 1 && argv[1][0] != '-' && app.get_subcommands().empty())
      why = text("unknown command ", argv[1]);
    std::cerr << "boxprompt: " << why << "; see " << named(app) << " --help\n";
    return 2;
  } catch (const Interrupted& e) {
    std::cerr << "boxprompt: " << e.what() << '\n';
    return 130;
  } catch (const std::bad_alloc&) {
    std::cerr << "boxprompt: out of memory\n";
  } catch (const std::exception& e) {
    std::cerr << "boxprompt: " << e.what() << '\n';
  }
  return 1;
}

}  // namespace bp::app
