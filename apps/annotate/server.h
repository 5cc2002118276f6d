// HTTP around the Api: the page, the routes, and who may ask. One request per connection, a thread each, so
// that a slow or broken client blocks nobody.
//
// A page of another site that is open in the same browser must not get at the annotations: the Host must be
// ours (a name that was rebound to this address is not), a write must come from our own Origin as JSON (which
// forms cannot send), and where the server is open to the network every request needs the token.
#pragma once
#include <memory>
#include <string>

#include "apps/annotate/api.h"

namespace bp::annotate {

struct ServerOptions {
  std::string host = "127.0.0.1";
  int port = 0;       // 0: any that is free
  std::string token;  // empty: none is asked for
};

// True for 127.0.0.0/8, ::1 and localhost.
bool is_loopback(const std::string& host);
// 128 bits from the system, in hexadecimal.
std::string random_token();

class Server {
 public:
  // Takes the port; throws Error where it cannot. Answers once run() was called.
  Server(Api& api, const ServerOptions& options);
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  int port() const;
  std::string address() const;  // "http://127.0.0.1:7878/", with the token where there is one
  void run();                   // until stop() from another thread; waits for requests in progress
  void stop();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace bp::annotate
