// The server of `annotate` through a real socket: what it keeps, what it refuses, what it survives.
#include <doctest/doctest.h>

#include <signal.h>
#include <sys/wait.h>

#include <fstream>
#include <random>
#include <thread>

#include "apps/iml/boxes.h"
#include "apps/iml/jpeg.h"
#include "engine/ops.h"
#include "tests/annotate_case.h"
#include "tests/errors.h"

using namespace bp;
using namespace bp::annotate;
using namespace bp::annotate::testing;
using bp::test::Answer;
using bp::test::Client;
using bp::test::Connection;

TEST_CASE("what is saved is given back, stands in a COCO file, and is there after a restart") {
  const Folder folder;
  {
    const Running r(folder);
    const Json project = r.client.get("/api/project").json();
    CHECK(project["teacher"].is_null());
    REQUIRE(project["images"].size() == 3);
    CHECK(project["images"][1]["name"] == "b.png");
    CHECK(project["images"][1]["width"] == 60);
    CHECK(project["images"][1]["height"] == 40);
    CHECK(project["images"][1]["state"] == "open");

    CHECK(r.client.get("/api/images/1").json()["version"] == 0);
    Json box = kBox;
    box["points"] = {{{"x", 12.5}, {"y", 7}, {"positive", false}}};
    box["choice"] = 2;
    box["iou"] = 0.75;
    const Answer saved = r.client.put("/api/images/1", with_box(0, box));
    CHECK(saved.status == 200);
    CHECK(saved.json()["version"] == 1);
    const Json got = r.client.get("/api/images/1").json();
    CHECK(got["version"] == 1);
    CHECK(got["seconds"] == 7.5);
    CHECK(got["boxes"][0]["box"] == box["box"]);
    CHECK(got["boxes"][0]["points"] == box["points"]);
    CHECK(got["boxes"][0]["choice"] == 2);
    CHECK(got["boxes"][0]["iou"] == 0.75);
    CHECK(got["boxes"][0]["mask"].is_null());

    CHECK(r.client
              .put("/api/images/2",
                   {{"version", 0}, {"authentic", true}, {"seconds", 1}, {"boxes", Json::array()}})
              .status == 200);
    CHECK(r.client
              .put("/api/images/0",
                   {{"version", 0}, {"authentic", false}, {"seconds", 3}, {"boxes", Json::array()}})
              .status == 200);
  }
  // An open image is not in the file's images: readers would take it for authentic.
  const BoxSet set = load_boxes(folder.file());
  REQUIRE(set.images.size() == 2);
  CHECK(set.images[0].image == "b.png");
  CHECK(set.images[0].width == 60);
  REQUIRE(set.images[0].boxes.size() == 1);
  CHECK(set.images[0].boxes[0].x0 == 10.25);
  CHECK(set.images[0].boxes[0].y1 == doctest::Approx(20));
  CHECK(set.images[1].image == "c.png");
  CHECK(set.images[1].boxes.empty());

  fs::remove(folder.temp / "c.png");  // what the file says of images that are gone is kept
  const Running again(folder);
  const Json project = again.client.get("/api/project").json();
  CHECK(project["done"] == 1);
  CHECK(project["seconds"] == 10.5);
  CHECK(project["images"][0]["seconds"] == 3);
  const Json got = again.client.get("/api/images/1").json();
  CHECK(got["version"] == 1);
  CHECK(got["boxes"][0]["box"] == kBox["box"]);  // to the last bit
  CHECK(got["boxes"][0]["points"][0]["positive"] == false);
  CHECK(again.client.put("/api/images/1", with_box(1)).json()["version"] == 2);
  CHECK(folder.saved()["images"].size() == 2);
}

TEST_CASE("of two windows the second is told, gets what is stored, and overwrites nothing") {
  const Folder folder;
  const Running r(folder);
  CHECK(r.client.put("/api/images/0", with_box(0)).status == 200);
  Json other = kBox;
  other["box"] = {0, 0, 5, 5};
  const Answer late = r.client.put("/api/images/0", with_box(0, other));
  CHECK(late.status == 409);
  CHECK(late.json()["version"] == 1);
  CHECK(late.json()["boxes"][0]["box"] == kBox["box"]);
  for (i64 version = 1; version < 6; ++version) {
    CHECK(r.client.put("/api/images/0", with_box(version)).status == 200);
    CHECK(folder.saved()["images"][0]["version"] == version + 1);  // before the answer
  }
  CHECK(folder.saved()["annotations"].size() == 1);
  CHECK(folder.saved()["annotations"][0]["box"] == kBox["box"]);
}

TEST_CASE("many windows at once: every version is given once, and the last is in the file") {
  const Folder folder;
  const Running r(folder);
  std::atomic<int> won{0};
  std::vector<std::thread> windows;
  for (int w = 0; w < 4; ++w)
    windows.emplace_back([&] {
      for (i64 version = 0; version < 10; ++version)
        if (r.client.put("/api/images/0", with_box(version)).status == 200) ++won;
    });
  for (std::thread& w : windows) w.join();
  const i64 version = r.client.get("/api/images/0").json()["version"];
  CHECK(won == version);
  CHECK(folder.saved()["images"][0]["version"] == version);
}

TEST_CASE("a window that listens hears what another saved") {
  const Folder folder;
  const Running r(folder);
  const Connection events(r.client.port);
  events.send("GET /api/events HTTP/1.1\r\nHost: " + r.client.host() + "\r\n\r\n");
  CHECK(mentions(events.receive("still here"), "text/event-stream"));
  CHECK(r.client.put("/api/images/2", with_box(0)).status == 200);
  CHECK(mentions(events.receive("\"version\":1"), "data: {\"image\":2,"));
}

TEST_CASE("what is not ours is refused: hosts, origins, types, tokens") {
  const Folder folder;
  const Running r(folder);
  const std::string port = std::to_string(r.client.port), body = with_box(0).dump();
  const auto get = [&](const std::string& headers) {
    return r.client.raw("GET /api/project HTTP/1.1\r\n" + headers + "\r\n").status;
  };
  CHECK(get("Host: 127.0.0.1:" + port + "\r\n") == 200);
  CHECK(get("Host: LocalHost:" + port + "\r\n") == 200);
  CHECK(get("Host: [::1]:" + port + "\r\n") == 200);
  for (const std::string& host :
       {"evil.example:" + port, "127.0.0.1.evil.example:" + port, std::string("127.0.0.1"),
        std::string("127.0.0.1:1"), "10.0.0.1:" + port, std::string()}) {
    CAPTURE(host);
    CHECK(get("Host: " + host + "\r\n") == 403);
  }
  CHECK(get("") == 403);
  CHECK(get("Host: localhost:" + port + "\r\nHost: evil.example\r\n") == 403);

  const std::string json = "Content-Type: application/json\r\n";
  const auto put = [&](const std::string& headers) {
    return r.client.send("PUT", "/api/images/0", body, headers).status;
  };
  CHECK(put(json + "Origin: http://evil.example\r\n") == 403);
  CHECK(put(json + "Origin: null\r\n") == 403);
  CHECK(put(json + "Origin: http://127.0.0.1:1\r\n") == 403);
  CHECK(put(json + "Origin: https://127.0.0.1:" + port + "\r\n") == 403);
  CHECK(put("") == 415);
  CHECK(put("Content-Type: text/plain\r\n") == 415);
  CHECK(put("Content-Type: application/jsonx\r\n") == 415);
  CHECK(r.client.get("/api/images/0").json()["version"] == 0);
  CHECK(put(json + "Origin: http://127.0.0.1:" + port + "\r\n") == 200);

  // A refused body that is itself a request must not be taken for one.
  const std::string inner = "PUT /api/images/1 HTTP/1.1\r\nHost: 127.0.0.1:" + port + "\r\n" + json +
                            "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body;
  r.client.send("POST", "/api/images/1/mask", inner,
                "Content-Type: text/plain\r\nOrigin: http://evil.example\r\n");
  r.client.send("POST", "/api/images/1/mask", inner, "Content-Type: text/plain\r\n");
  CHECK(r.client.get("/api/images/1").json()["version"] == 0);

  const Answer page = r.client.get("/");
  CHECK(page.status == 200);
  CHECK(mentions(page.body, "<html"));
  CHECK(mentions(page.head, "Content-Security-Policy"));
  CHECK(mentions(r.client.get("/app.js").head, "text/javascript"));
}

TEST_CASE("open to the network, every request of the api needs the token") {
  const Folder folder;
  const Running r(ProjectOptions{folder.temp.path, false, {}, nullptr, {}},
                  ServerOptions{"0.0.0.0", 0, "0123456789abcdef"});
  CHECK(mentions(r.server.address(), "?token=0123456789abcdef"));
  for (const char* path : {"/api/project", "/api/images/0", "/api/images/0/picture",
                           "/api/images/0/thumbnail", "/api/images/0/embedding", "/api/events"}) {
    CAPTURE(path);
    CHECK(r.client.get(path).status == 403);
    CHECK(r.client.get(path, "X-Token: 0123456789abcdee\r\n").status == 403);
    CHECK(r.client.get(path, "X-Token: 0123456789abcdef0\r\n").status == 403);
  }
  CHECK(r.client.put("/api/images/0", with_box(0)).status == 403);
  CHECK(r.client.get("/api/project", "X-Token: 0123456789abcdef\r\n").status == 200);
  CHECK(r.client.get("/api/project?token=0123456789abcdef").status == 200);
  CHECK(r.client.raw("GET / HTTP/1.1\r\nHost: evil.example:" + std::to_string(r.client.port) + "\r\n\r\n")
            .status == 403);
  CHECK(random_token().size() == 32);
  CHECK(random_token() != random_token());
  CHECK(is_loopback("127.1.2.3"));
  CHECK_FALSE(is_loopback("127.evil.example"));
  CHECK_FALSE(is_loopback("0.0.0.0"));
}

TEST_CASE("broken requests get an answer that says why, and change nothing") {
  const Folder folder;
  folder.temp.write("secret.txt", "secret");
  folder.temp.write("broken.png", "\x89PNG\r\n\x1A\n and then nothing");
  const Running r(folder);
  for (const std::string path :
       {"/../secret.txt", "/%2e%2e/secret.txt", "/..%2fsecret.txt", "/secret.txt", "/a.png", "//etc/passwd",
        "/page/index.html", "/%00", "/api/images/4", "/api/images/-1", "/api/images/1e0", "/api/images/ 1",
        "/api/images/0/../../secret.txt", "/api/images/99999999999999999999", "/api/images/0/nothing",
        "/api/images/0/picture/../../../secret.txt"}) {
    CAPTURE(path);
    const Answer a = r.client.get(path);
    CHECK((a.status == 404 || a.status == 400));
    CHECK_FALSE(mentions(a.body, "secret\n"));
    CHECK(a.json().contains("error"));
  }
  CHECK(r.client.get("/" + std::string(5000, 'a')).status == 414);
  CHECK(r.client.get("/api/images/0/picture?side=-1").status == 400);
  CHECK(r.client.get("/api/images/0/picture?side=big").status == 400);
  CHECK(r.client.get("/api/images/0/picture", "Range: bytes=0-1,0-1\r\n").status == 416);
  CHECK(r.client.get("/api/images/2/picture").status == 422);  // broken.png, between b and c
  CHECK(r.client.get("/api/images/2").status == 422);
  CHECK(r.client.get("/api/project").json()["images"][2]["width"] == 0);

  const auto refused = [&](const std::string& body) {
    CAPTURE(body);
    const Answer a = r.client.send("PUT", "/api/images/0", body);
    CHECK(a.status == 400);
    CHECK(a.json()["error"].is_string());
  };
  for (const char* body : {"", "{", "[]", "null", "1e999", "{\"version\":0}", "\xff\xfe",
                           "{\"version\":0,\"authentic\":1,\"seconds\":0,\"boxes\":[]}",
                           "{\"version\":\"0\",\"authentic\":false,\"seconds\":0,\"boxes\":[]}",
                           "{\"version\":0,\"authentic\":false,\"seconds\":-1,\"boxes\":[]}",
                           "{\"version\":0,\"authentic\":false,\"seconds\":0,\"boxes\":{}}"})
    refused(body);
  refused(std::string(100000, '['));
  for (const char* box :
       {"{}", "{\"box\":[1,2,3]}", "{\"box\":[1,2,3,\"4\"]}", "{\"box\":[30,5,10,20]}",
        "{\"box\":[5,5,5,20]}", "{\"box\":[100,100,200,200]}", "{\"box\":[0,0,1,null]}",
        "{\"box\":[0,0,5,5],\"choice\":3}", "{\"box\":[0,0,5,5],\"choice\":0.5}",
        "{\"box\":[0,0,5,5],\"points\":[1]}", "{\"box\":[0,0,5,5],\"points\":[{\"x\":1,\"y\":1}]}",
        "{\"box\":[0,0,5,5],\"iou\":\"high\"}"})
    refused("{\"version\":0,\"authentic\":false,\"seconds\":0,\"boxes\":[" + std::string(box) + "]}");
  Json authentic = with_box(0);
  authentic["authentic"] = true;
  refused(authentic.dump());

  CHECK(r.client.send("PUT", "/api/images/0", std::string(9 << 20, ' ')).status == 413);
  CHECK(r.client
            .raw("PUT /api/images/0 HTTP/1.1\r\nHost: " + r.client.host() +
                 "\r\nContent-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n5\r\n")
            .status == 411);
  CHECK(r.client.send("DELETE", "/api/images/0", "").status == 404);
  CHECK(r.client.post("/api/images/0/mask", {{"box", {1, 2}}}).status == 400);
  const Answer none = r.client.post("/api/images/0/mask", kBox);
  CHECK(none.status == 202);
  CHECK(none.json()["state"] == "none");
  CHECK(r.client.get("/api/images/0").json()["version"] == 0);
  CHECK_FALSE(fs::exists(folder.file()));
}

TEST_CASE("answers are sent as they are to a browser that would unpack them: packing takes longer") {
  const Folder folder;
  const Running r(folder);
  for (const std::string path : {"/api/project", "/", "/app.js"}) {
    CAPTURE(path);
    const Answer plain = r.client.get(path),
                 offered = r.client.get(path, "Accept-Encoding: gzip, deflate, br, zstd\r\n");
    CHECK(plain.status == 200);
    CHECK(offered.head.find("Content-Encoding") == std::string::npos);
    CHECK(offered.body == plain.body);
    CHECK(offered.head.find("Content-Length: " + std::to_string(plain.body.size())) != std::string::npos);
  }
}

TEST_CASE("noise on the wire stops nothing") {
  const Folder folder;
  const Running r(folder);
  const std::string good = "PUT /api/images/0 HTTP/1.1\r\nHost: " + r.client.host() +
                           "\r\nContent-Type: application/json\r\nContent-Length: 20\r\n\r\n" +
                           std::string(20, '{');
  std::mt19937 random(7);
  for (int round = 0; round < 300; ++round) {
    std::string bytes = good;
    for (int change = 0; change < 1 + round % 8; ++change)
      bytes[random() % bytes.size()] = static_cast<char>(random());
    if (round % 3 == 0) bytes.resize(random() % bytes.size());
    const Connection c(r.client.port);
    c.send(bytes);
    ::shutdown(c.socket, SHUT_WR);
    if (round % 5) c.receive();
  }
  CHECK(r.client.get("/api/images/0").json()["version"] == 0);
}

TEST_CASE("slow clients block nobody") {
  const Folder folder;
  const Running r(folder);
  std::vector<std::unique_ptr<Connection>> slow;
  for (int i = 0; i < 60; ++i) {
    slow.push_back(std::make_unique<Connection>(r.client.port));
    slow.back()->send(i % 2 ? "GET /api/pro"
                            : "PUT /api/images/0 HTTP/1.1\r\nHost: " + r.client.host() +
                                  "\r\nContent-Type: application/json\r\nContent-Length: 1000\r\n\r\n{");
  }
  CHECK(r.client.put("/api/images/0", with_box(0)).status == 200);
  CHECK(r.client.get("/api/project").status == 200);
}

TEST_CASE("pictures come no larger than asked, and are not sent twice") {
  const Folder folder;
  Tensor large = zeros({300, 700, 3}, DType::u8);
  for (i64 i = 0; i < large.numel(); ++i) large.data<u8>()[i] = static_cast<u8>(i / 700);
  save_png(folder.temp / "d.png", large);
  const Running r(folder);
  const auto shape = [&](const std::string& path) { return decode_jpeg(r.client.get(path).body).shape(); };
  CHECK(shape("/api/images/3/picture?side=350") == Shape{150, 350, 3});
  CHECK(shape("/api/images/3/picture?side=4000") == Shape{300, 700, 3});
  CHECK(shape("/api/images/3/picture") == Shape{300, 700, 3});
  CHECK(shape("/api/images/3/thumbnail") == Shape{69, 160, 3});
  CHECK(shape("/api/images/0/thumbnail") == Shape{40, 60, 3});
  const std::string head = r.client.get("/api/images/3/thumbnail").head;
  const std::size_t tag = head.find("ETag: ") + 6;
  const std::string etag = head.substr(tag, head.find("\r\n", tag) - tag);
  const Answer again = r.client.get("/api/images/3/thumbnail", "If-None-Match: " + etag + "\r\n");
  CHECK(again.status == 304);
  CHECK(again.body.empty());
  CHECK(r.client.get("/api/images/3/picture", "If-None-Match: " + etag + "\r\n").status == 200);
}

TEST_CASE("a folder has one server, and a file that is not ours or was changed is not overwritten") {
  const Folder folder;
  {
    const Running r(folder);
    CHECK(mentions(error_of([&] { Running second(folder); }), "in use"));
    CHECK(r.client.put("/api/images/0", with_box(0)).status == 200);
    const std::string mine = "{\"images\": [], \"annotations\": []}";
    folder.temp.write("annotations.json", mine);
    const Answer changed = r.client.put("/api/images/0", with_box(1));
    CHECK(changed.status == 500);
    CHECK(mentions(changed.body, "changed by another program"));
    CHECK(read_file(folder.file()) == mine);
    CHECK(r.client.get("/api/images/0").json()["version"] == 1);
  }
  CHECK(mentions(error_of([&] { Running third(folder); }), "was not written by"));
  folder.temp.write("annotations.json",
                    "{\"info\": {\"description\": \"boxprompt annotate\"}, \"images\": 3}");
  CHECK(mentions(error_of([&] { Running fourth(folder); }), "annotations.json: "));
  CHECK(mentions(error_of([&] {
                   Running(ProjectOptions{folder.temp / "none", false, {}, nullptr, {}});
                 }),
                 "none"));
  CHECK_FALSE(fs::exists(folder.temp / ".annotations.json.lock"));
}

namespace {

// The program itself, as a child.
struct Program {
  pid_t pid = 0;
  Client client;

  Program(const std::string& folder, const std::string& log) {
    std::fflush(nullptr);
    pid = ::fork();
    if (pid == 0) {
      std::freopen(log.c_str(), "wb", stdout);
      ::execl(BOXPROMPT_BINARY, "boxprompt", "annotate", folder.c_str(), static_cast<char*>(nullptr));
      ::_exit(127);
    }
    for (std::string said;;) {
      std::ifstream in(log);
      std::getline(in, said);
      const std::size_t at = said.find("127.0.0.1:");
      if (!in.eof() && at != said.npos) {
        client.port = std::atoi(said.c_str() + at + 10);
        break;
      }
      REQUIRE(::waitpid(pid, nullptr, WNOHANG) == 0);
      std::this_thread::sleep_for(std::chrono::milliseconds(10));
    }
  }
  int end(int signal) {
    ::kill(pid, signal);
    int status = 0;
    ::waitpid(pid, &status, 0);
    pid = 0;
    return status;
  }
  ~Program() {
    if (pid) end(SIGKILL);
  }
};

}  // namespace

TEST_CASE("killed at any moment, the server has lost nothing that it confirmed") {
  const Folder folder;
  const TempFolder logs;
  i64 confirmed = 0;
  for (int round = 0; round < 4; ++round) {
    Program program(folder.temp.path.string(), (logs / std::to_string(round)).string());
    const i64 stored = program.client.get("/api/images/0").json()["version"];
    CHECK(stored >= confirmed);
    CHECK(stored <= confirmed + 1);  // one may have been stored whose answer was lost
    std::atomic<i64> version{stored};
    std::atomic<bool> dead{false};
    std::thread window([&] {
      while (!dead) {
        Json box = kBox;
        box["box"][0] = static_cast<double>(version % 10);
        if (program.client.put("/api/images/0", with_box(version, box)).status != 200) break;
        ++version;
      }
    });
    while (version < stored + 5 + 3 * round) std::this_thread::yield();
    program.end(SIGKILL);
    dead = true;
    window.join();
    confirmed = version;
    const Json saved = folder.saved();
    const i64 in_file = saved["images"][0]["version"];
    CHECK(in_file >= confirmed);
    CHECK(saved["annotations"][0]["box"][0] == static_cast<double>((in_file - 1) % 10));
  }
  Program last(folder.temp.path.string(), (logs / "last").string());
  const int status = last.end(SIGINT);
  CHECK(WIFEXITED(status));
  CHECK(WEXITSTATUS(status) == 0);
  CHECK(mentions(read_file(logs / "last"), "1 of 3 images done"));
  CHECK_FALSE(fs::exists(folder.temp / ".annotations.json.lock"));
}
