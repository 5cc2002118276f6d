// A client on a bare socket, so that tests can send what no well-behaved client would.
#pragma once
#include <arpa/inet.h>
#include <sys/socket.h>
#include <unistd.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <string>

namespace bp::test {

struct Connection {
  int socket = ::socket(AF_INET, SOCK_STREAM, 0);

  explicit Connection(int port) {
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(static_cast<std::uint16_t>(port));
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    timeval patience{60, 0};
    ::setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof patience);
    if (::connect(socket, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) close();
  }
  ~Connection() { close(); }
  Connection(const Connection&) = delete;
  Connection& operator=(const Connection&) = delete;

  void close() {
    if (socket >= 0) ::close(socket);
    socket = -1;
  }
  bool send(const std::string& bytes) const {
    for (std::size_t at = 0; at < bytes.size();) {
      const auto n = ::send(socket, bytes.data() + at, bytes.size() - at, MSG_NOSIGNAL);
      if (n <= 0) return false;
      at += static_cast<std::size_t>(n);
    }
    return true;
  }
  // Up to `end`, or all there is.
  std::string receive(const std::string& end = {}) const {
    std::string all;
    char buffer[65536];
    while (end.empty() || all.find(end) == all.npos) {
      const auto n = ::recv(socket, buffer, sizeof buffer, 0);
      if (n <= 0) break;
      all.append(buffer, static_cast<std::size_t>(n));
    }
    return all;
  }
};

struct Answer {
  int status = 0;  // 0: none
  std::string head, body;
  nlohmann::json json() const { return nlohmann::json::parse(body, nullptr, false); }
};

inline Answer parse_answer(const std::string& bytes) {
  Answer a;
  const std::size_t end = bytes.find("\r\n\r\n");
  if (!bytes.starts_with("HTTP/1.1 ") || end == bytes.npos) return a;
  a.status = std::atoi(bytes.c_str() + 9);
  a.head = bytes.substr(0, end);
  a.body = bytes.substr(end + 4);
  return a;
}

// A request as the page sends it; `more` are further header lines, each with its line end.
struct Client {
  int port = 0;

  std::string host() const { return "127.0.0.1:" + std::to_string(port); }
  Answer raw(const std::string& bytes) const {
    const Connection c(port);
    c.send(bytes);
    return parse_answer(c.receive());
  }
  Answer get(const std::string& path, const std::string& more = {}) const {
    return raw("GET " + path + " HTTP/1.1\r\nHost: " + host() + "\r\n" + more + "\r\n");
  }
  Answer send(const std::string& method, const std::string& path, const std::string& body,
              const std::string& more = "Content-Type: application/json\r\n") const {
    return raw(method + " " + path + " HTTP/1.1\r\nHost: " + host() + "\r\n" + more +
               "Content-Length: " + std::to_string(body.size()) + "\r\n\r\n" + body);
  }
  Answer put(const std::string& path, const nlohmann::json& body) const {
    return send("PUT", path, body.dump());
  }
  Answer post(const std::string& path, const nlohmann::json& body) const {
    return send("POST", path, body.dump());
  }
};

}  // namespace bp::test
