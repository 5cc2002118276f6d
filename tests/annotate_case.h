// What the tests of `annotate` share: a folder of images, and its server in this process.
#pragma once
#include <thread>

#include "apps/annotate/server.h"
#include "apps/iml/image.h"
#include "tests/http_case.h"
#include "tests/temp_folder.h"

namespace bp::annotate::testing {

using bp::test::Client;

inline const Json kBox{{"box", {10.25, 5.1, 30.7, 20}}, {"points", Json::array()}, {"choice", nullptr}};

inline Json with_box(i64 version, const Json& box = kBox, double seconds = 7.5) {
  return {{"version", version}, {"authentic", false}, {"seconds", seconds}, {"boxes", Json::array({box})}};
}

// A folder of three images, 60 x 40.
struct Folder {
  TempFolder temp;
  Folder() {
    for (const char* name : {"a.png", "b.png", "c.png"})
      save_png(temp / name, full({40, 60, 3}, 99, DType::u8));
  }
  fs::path file() const { return temp / "annotations.json"; }
  Json saved() const { return Json::parse(read_file(file())); }
};

// A server in this process.
struct Running {
  Api api;
  Server server;
  Client client;
  std::thread thread;

  explicit Running(const ProjectOptions& project, const ServerOptions& options = {})
      : api(project), server(api, options), client{server.port()}, thread([this] { server.run(); }) {
    while (client.get("/api/none").status == 0) std::this_thread::yield();
  }
  explicit Running(const Folder& folder)
      : Running(ProjectOptions{folder.temp.path, false, {}, nullptr, {}}) {}
  ~Running() {
    server.stop();
    thread.join();
  }
};

}  // namespace bp::annotate::testing
