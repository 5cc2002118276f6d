// boxprompt annotate: a page in the browser where boxes are drawn and the teacher's masks appear.
#include <iostream>
#include <memory>
#include <thread>

#include "apps/annotate/server.h"
#include "apps/boxprompt/cli.h"
#include "apps/boxprompt/device_option.h"
#include "apps/iml/progress.h"
#include "apps/iml/teacher.h"

namespace bp::app {
namespace {

constexpr int kPort = 7878, kPortsTried = 20;

struct Options {
  std::string folder, weights, output, cache, device;
  DType dtype = DType::f32;
  std::string host = "127.0.0.1";
  int port = 0;
  std::size_t memory = 512, ahead = 16;
  bool recursive = false;
};

// Without --port the first that is free, so that several folders can be open at once.
std::unique_ptr<annotate::Server> serve(annotate::Api& api, const Options& o) {
  annotate::ServerOptions options{o.host, o.port,
                                  annotate::is_loopback(o.host) ? "" : annotate::random_token()};
  if (o.port) return std::make_unique<annotate::Server>(api, options);
  for (options.port = kPort; options.port < kPort + kPortsTried; ++options.port) try {
      return std::make_unique<annotate::Server>(api, options);
    } catch (const Error&) {
      // The next one.
    }
  options.port = 0;
  return std::make_unique<annotate::Server>(api, options);
}

void run_annotate(const Options& o) {
  annotate::ProjectOptions project{o.folder, o.recursive, o.output, nullptr, {}};
  const auto sam = o.weights.empty() ? nullptr : load_sam(o.weights, parse_device(o.device), o.dtype);
  project.sam = sam.get();
  project.embeddings.weights = o.weights;
  project.embeddings.dtype = o.dtype;
  project.embeddings.cache = o.cache.empty() ? annotate::default_embedding_cache() : fs::path(o.cache);
  project.embeddings.memory = o.memory << 20;
  project.embeddings.ahead = o.ahead;
  annotate::Api api(project);
  const auto server = serve(api, o);

  if (!annotate::is_loopback(o.host))
    std::cerr << "warning: " << o.host
              << " is open to the network. Whoever has the address below, token and all, "
                 "can see the images and change the annotations; nothing is encrypted.\n";
  std::cout << "annotate: " << server->address() << "\n  " << api.pictures().count() << " images, "
            << (sam ? "teacher sam_" + sam->variant() : "no teacher (--weights): boxes only") << "; saved in "
            << api.store().file().string() << "\n  Ctrl-C ends" << std::endl;

  catch_interrupts();
  std::thread serving([&] { server->run(); });
  while (!interrupted()) std::this_thread::sleep_for(std::chrono::milliseconds(100));
  server->stop();
  std::size_t done = 0;
  for (const annotate::Annotation& a : api.store().all()) done += !a.open();
  std::cout << done << " of " << api.pictures().count() << " images done: " << api.store().file().string()
            << std::endl;
  // All is on the disk. An embedding that is being computed, or a client that is slow, is not waited for.
  api.store().release();
  std::_Exit(0);
}

}  // namespace

void add_annotate(CLI::App& app) {
  const auto o = std::make_shared<Options>();
  CLI::App* command =
      app.add_subcommand("annotate", "Draw boxes in the browser and see the teacher's masks at once");
  command->add_option("FOLDER", o->folder, "The folder with the images")
      ->required()
      ->check(CLI::ExistingDirectory);
  command->add_option("--weights", o->weights, "A SAM checkpoint; without one there are boxes and no masks");
  command->add_flag("--recursive", o->recursive, "Descend into subfolders");
  command->add_option("-o,--output", o->output,
                      "The COCO file to write and go on from; default: "
                      "annotations.json in FOLDER");
  command->add_option("--port", o->port, "Default: the first free one from 7878")
      ->check(CLI::Range(1, 65535));
  command
      ->add_option("--host", o->host,
                   "The address to serve on; other than this machine's own the page needs a token")
      ->capture_default_str();
  command->add_option("--memory", o->memory, "MiB for image embeddings, 4 each; more are kept on disk")
      ->check(CLI::Range(4, 1 << 20))
      ->capture_default_str();
  command->add_option("--ahead", o->ahead, "Images whose embeddings are computed ahead")
      ->check(CLI::Range(0, 1 << 20))
      ->capture_default_str();
  command->add_option(
      "--cache", o->cache,
      "The folder for embeddings on disk, at most 4 GiB; default: boxprompt/embeddings in the "
      "user's cache folder");
  add_device_option(command, o->device);
  add_dtype_option(command, o->dtype, "The teacher's image encoder");
  command->footer(
      "Every change is saved at once; the same command goes on where one stopped. Nothing leaves the "
      "machine.\n"
      "Examples:\n"
      "  boxprompt annotate photos/ --weights mobile_sam.pt\n"
      "  boxprompt teach photos/ --boxes photos/annotations.json --weights mobile_sam.pt -o out/\n"
      "  boxprompt train photos/annotations.json -o run/");
  command->callback([o] { run_annotate(*o); });
}

}  // namespace bp::app
