#include "apps/annotate/server.h"

#include <arpa/inet.h>
#include <cctype>
#include <charconv>
#include <httplib.h>
#include <random>
#include <unistd.h>

#include "apps/annotate/assets.h"
#include "engine/error.h"

namespace bp::annotate {
namespace {

constexpr std::size_t kMostBytes = 8 << 20;  // of a request's body
constexpr std::size_t kLongestPath = 256;
constexpr std::size_t kMostConnections = 256;
constexpr int kTimeout = 10;                    // seconds a client may pause within a request or an answer
constexpr std::chrono::seconds kHeartbeat{10};  // of the events, to notice windows that are gone

// A thread per connection. With a fixed pool, as many slow clients as it has threads would stop the server;
// above the limit new connections wait.
class Connections final : public httplib::TaskQueue {
 public:
  void enqueue(std::function<void()> serve) override {
    {
      std::unique_lock lock(mutex_);
      ended_.wait(lock, [this] { return count_ < kMostConnections; });
      ++count_;
    }
    const auto run = [this, serve = std::move(serve)] {
      serve();
      const std::lock_guard done(mutex_);
      --count_;
      ended_.notify_all();
    };
    try {
      std::thread(run).detach();
    } catch (const std::system_error&) {  // the system has no thread for us
      run();
    }
  }
  void shutdown() override {
    std::unique_lock lock(mutex_);
    ended_.wait(lock, [this] { return count_ == 0; });
  }

 private:
  std::mutex mutex_;
  std::condition_variable ended_;
  std::size_t count_ = 0;
};

bool is_address(const std::string& host) {
  unsigned char bytes[16];
  return ::inet_pton(AF_INET, host.c_str(), bytes) == 1 || ::inet_pton(AF_INET6, host.c_str(), bytes) == 1;
}

bool is_wildcard(const std::string& host) {
  return host == "0.0.0.0" || host == "::";
}

// "[::1]" for "::1": as hosts stand in addresses.
std::string bracketed(const std::string& host) {
  return host.find(':') == host.npos ? host : "[" + host + "]";
}

std::string lower(std::string s) {
  for (char& c : s) c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
  return s;
}

// Takes as long for every guess of the same length.
bool same_secret(const std::string& a, const std::string& b) {
  unsigned different = a.size() != b.size();
  for (std::size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    different |= static_cast<unsigned char>(a[i]) ^ static_cast<unsigned char>(b[i]);
  return different == 0;
}

const char* type_of(std::string_view name) {
  if (name.ends_with(".html")) return "text/html; charset=utf-8";
  if (name.ends_with(".js")) return "text/javascript; charset=utf-8";
  if (name.ends_with(".css")) return "text/css; charset=utf-8";
  if (name.ends_with(".svg")) return "image/svg+xml";
  if (name.ends_with(".png")) return "image/png";
  return "application/octet-stream";
}

// As it is: set_content() would compress it for a browser, with Brotli at its slowest, and a large mask would
// take a second to travel over the loopback.
void send(httplib::Response& response, std::shared_ptr<const std::string> bytes, const char* type) {
  const std::size_t size = bytes->size();
  response.set_content_provider(
      size, type, [bytes = std::move(bytes)](std::size_t begin, std::size_t count, httplib::DataSink& sink) {
        return sink.write(bytes->data() + begin, count);
      });
}

void answer(httplib::Response& response, int status, const Json& body) {
  response.status = status;
  response.set_header("Cache-Control", "no-store");
  send(response,
       std::make_shared<const std::string>(body.dump(-1, ' ', false, Json::error_handler_t::replace)),
       "application/json");
}

}  // namespace

bool is_loopback(const std::string& host) {
  return host == "localhost" || host == "::1" || (host.starts_with("127.") && is_address(host));
}

std::string random_token() {
  std::random_device system;
  std::string token;
  for (int i = 0; i < 32; ++i) token += "0123456789abcdef"[system() & 15];
  return token;
}

struct Server::Impl {
  Api& api;
  const ServerOptions options;
  httplib::Server http;
  int port = 0;

  Impl(Api& a, const ServerOptions& o) : api(a), options(o) {
    http.new_task_queue = [] { return new Connections; };
    // httplib's own choice, SO_REUSEPORT, would let two servers share a port.
    http.set_socket_options([](socket_t socket) {
      const int yes = 1;
      ::setsockopt(socket, SOL_SOCKET, SO_REUSEADDR, &yes, sizeof yes);
    });
    http.set_tcp_nodelay(true);
    // What is left of a refused body must not be read as the next request of its connection.
    http.set_keep_alive_max_count(1);
    http.set_read_timeout(kTimeout);
    http.set_write_timeout(kTimeout);
    http.set_payload_max_length(kMostBytes);
    http.set_default_headers(
        {{"X-Content-Type-Options", "nosniff"},
         {"X-Frame-Options", "DENY"},
         {"Referrer-Policy", "no-referrer"},
         {"Cross-Origin-Resource-Policy", "same-origin"},
         {"Content-Security-Policy",
          "default-src 'self'; img-src 'self' blob: data:; style-src 'self' 'unsafe-inline'; "
          "frame-ancestors 'none'; base-uri 'none'; form-action 'none'"}});
    http.set_pre_routing_handler([this](const httplib::Request& request, httplib::Response& response) {
      try {
        admit(request);
        return httplib::Server::HandlerResponse::Unhandled;
      } catch (const Refusal& e) {
        answer(response, e.status, {{"error", e.what()}});
        return httplib::Server::HandlerResponse::Handled;
      }
    });
    http.set_error_handler([](const httplib::Request&, httplib::Response& response) {
      if (!response.has_header("Cache-Control"))  // nobody has answered
        answer(response, response.status,
               {{"error", response.status == 404   ? "no such page"
                          : response.status == 413 ? text("a body of more than ", kMostBytes, " bytes")
                                                   : "not a request this server understands"}});
    });
    add_routes();

    port = options.port;
    if (port == 0)
      port = http.bind_to_any_port(options.host);
    else if (!http.bind_to_port(options.host, port))
      port = -1;
    require(port > 0, "annotate: cannot serve on ", bracketed(options.host), ":", options.port,
            options.port ? " (is the port in use?)" : "");
  }

  // Host and Origin, before anything else is looked at.
  void admit(const httplib::Request& request) const {
    if (request.path.size() > kLongestPath) throw Refusal(414, "the path is too long");
    if (request.get_header_value_count("Host") != 1 || !is_ours(lower(request.get_header_value("Host"))))
      throw Refusal(403, "this Host is not served here");
    if (request.has_header("Origin") &&
        lower(request.get_header_value("Origin")) != "http://" + lower(request.get_header_value("Host")))
      throw Refusal(403, "requests from other sites are not answered");
    if (request.has_header("Transfer-Encoding"))  // its length is not known before it is read
      throw Refusal(411, "the body's length is missing");
    if (request.has_header("Range")) throw Refusal(416, "parts are not served");
  }

  // "host:port" of a name we go by. A wildcard server also goes by its addresses, which cannot be rebound.
  bool is_ours(const std::string& host) const {
    const std::string end = ":" + std::to_string(port);
    std::string name = host;
    if (name.ends_with(end))
      name.resize(name.size() - end.size());
    else if (port != 80)
      return false;
    if (name == "localhost" || name == "127.0.0.1" || name == "[::1]" ||
        name == lower(bracketed(options.host)))
      return true;
    if (!is_wildcard(options.host)) return false;
    char own[256] = {};
    if (::gethostname(own, sizeof own - 1) == 0 && name == lower(own)) return true;
    if (name.size() > 2 && name.front() == '[' && name.back() == ']') name = name.substr(1, name.size() - 2);
    return is_address(name);
  }

  // The token, and for writes that no form of another site could have sent this.
  void admit_to_api(const httplib::Request& request) const {
    const std::string token = request.has_header("X-Token") ? request.get_header_value("X-Token")
                                                            : request.get_param_value("token");
    if (!options.token.empty() && !same_secret(token, options.token))
      throw Refusal(403, "the token is missing or wrong; open the address that the program printed");
    if (request.method != "PUT" && request.method != "POST") return;
    const std::string type = lower(request.get_header_value("Content-Type"));
    if (type != "application/json" && !type.starts_with("application/json;"))
      throw Refusal(415, "Content-Type is not application/json");
  }

  using Handler = std::function<void(const httplib::Request&, httplib::Response&, std::size_t image)>;

  // A handler behind admit_to_api, with the image's number where the path has one, and with errors in JSON.
  httplib::Server::Handler guarded(Handler handler) const {
    return
        [this, handler = std::move(handler)](const httplib::Request& request, httplib::Response& response) {
          try {
            admit_to_api(request);
            std::size_t image = 0;
            if (request.matches.size() > 1) {
              const std::string number = request.matches[1];
              std::from_chars(number.data(), number.data() + number.size(), image);
              api.check(image);
            }
            handler(request, response, image);
          } catch (const Refusal& e) {
            answer(response, e.status, {{"error", e.what()}});
          } catch (const std::bad_alloc&) {
            answer(response, 500, {{"error", "out of memory"}});
          } catch (const std::exception& e) {
            answer(response, 500, {{"error", one_line(e.what())}});
          }
        };
  }

  void add_routes() {
    using Request = const httplib::Request&;
    using Response = httplib::Response&;
    const std::string image = R"(/api/images/(\d{1,9}))";
    http.Get("/api/project",
             guarded([this](Request, Response r, std::size_t) { answer(r, 200, api.project()); }));
    http.Get(image, guarded([this](Request, Response r, std::size_t i) { answer(r, 200, api.image(i)); }));
    http.Put(image, guarded([this](Request q, Response r, std::size_t i) {
               const Reply reply = api.save(i, q.body);
               answer(r, reply.status, reply.body);
             }));
    http.Get(image + "/embedding",
             guarded([this](Request, Response r, std::size_t i) { answer(r, 200, api.embedding(i)); }));
    http.Post(image + "/mask", guarded([this](Request q, Response r, std::size_t i) {
                const Reply reply = api.masks(i, q.body);
                answer(r, reply.status, reply.body);
              }));
    http.Get(image + "/thumbnail", guarded([this](Request q, Response r, std::size_t i) {
               picture(q, r, i, Pictures::kThumbnail);
             }));
    http.Get(image + "/picture", guarded([this](Request q, Response r, std::size_t i) {
               const std::string given = q.get_param_value("side");
               i64 side = Pictures::kLargest;
               const auto [end, error] = std::from_chars(given.data(), given.data() + given.size(), side);
               if (!given.empty() && (error != std::errc() || end != given.data() + given.size() || side < 1))
                 throw Refusal(400, "\"side\" is not a number of pixels");
               picture(q, r, i, side);
             }));
    http.Get("/api/events", guarded([this](Request, Response r, std::size_t) { listen_to_events(r); }));
    for (const Asset& asset : assets()) {
      const auto serve = [asset](Request, Response r) {
        r.set_header("Cache-Control", "no-cache");
        send(r, std::make_shared<const std::string>(asset.bytes), type_of(asset.name));
      };
      if (asset.name == "index.html") http.Get("/", serve);
      std::string pattern = "/";
      for (const char c : asset.name) pattern += (c == '.' ? "\\" : "") + std::string(1, c);
      http.Get(pattern, serve);
    }
  }

  void picture(const httplib::Request& request, httplib::Response& response, std::size_t i, i64 side) {
    const std::string tag = "\"" + api.pictures().tag(i) + "-" + std::to_string(side) + "\"";
    response.set_header("ETag", tag);
    response.set_header("Cache-Control", "no-cache");  // asked for each time, sent again only when it changed
    if (request.get_header_value("If-None-Match") == tag) {
      response.status = 304;
      return;
    }
    try {
      send(response, api.pictures().jpeg(i, side), "image/jpeg");
    } catch (const Error& e) {
      throw Refusal(422, one_line(e.what()));
    }
  }

  void listen_to_events(httplib::Response& response) {
    response.set_header("Cache-Control", "no-store");
    response.set_chunked_content_provider(
        "text/event-stream",
        [this, place = api.events().now(), first = true](std::size_t, httplib::DataSink& sink) mutable {
          Events& events = api.events();
          std::string out;
          if (!first)
            for (const std::string& event : events.wait(place, kHeartbeat)) out += "data: " + event + "\n\n";
          if (out.empty()) out = ": still here\n\n";
          first = false;
          if (events.closed()) {
            sink.done();
            return true;
          }
          return sink.write(out.data(), out.size());
        });
  }
};

Server::Server(Api& api, const ServerOptions& options) : impl_(std::make_unique<Impl>(api, options)) {}
Server::~Server() = default;

int Server::port() const {
  return impl_->port;
}

std::string Server::address() const {
  const ServerOptions& o = impl_->options;
  char own[256] = {};
  std::string host = bracketed(o.host);
  if (is_wildcard(o.host) && ::gethostname(own, sizeof own - 1) == 0) host = own;
  return text("http://", host, ":", impl_->port, "/", o.token.empty() ? "" : "?token=" + o.token);
}

void Server::run() {
  impl_->http.listen_after_bind();
}

void Server::stop() {
  impl_->api.events().close();
  impl_->http.stop();
}

}  // namespace bp::annotate
