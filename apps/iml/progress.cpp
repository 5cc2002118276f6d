#include "apps/iml/progress.h"

#include <sys/ioctl.h>
#include <unistd.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <csignal>

namespace bp {
namespace {

std::string clock_time(double seconds) {
  const auto s = static_cast<long long>(std::ceil(std::min(seconds, 1e9)));
  char text[48];
  if (s >= 3600)
    std::snprintf(text, sizeof text, "%lld:%02lld:%02lld", s / 3600, s / 60 % 60, s % 60);
  else
    std::snprintf(text, sizeof text, "%lld:%02lld", s / 60, s % 60);
  return text;
}

std::atomic<bool> interrupt_seen{false};
static_assert(std::atomic<bool>::is_always_lock_free, "used in a signal handler");

void on_signal(int signal) {
  if (interrupt_seen.exchange(true)) ::_exit(128 + signal);
}

}  // namespace

std::string progress_line(std::string_view what, std::size_t done, std::size_t skipped, std::size_t total,
                          double seconds) {
  constexpr std::size_t kCells = 20;
  const double share = total == 0 ? 1.0 : static_cast<double>(done) / static_cast<double>(total);
  const auto filled = std::min(kCells, static_cast<std::size_t>(share * kCells));
  char text[96];
  std::snprintf(text, sizeof text, " %3d%% [", static_cast<int>(share * 100));
  std::string line = std::string(what) + text + std::string(filled, '#') + std::string(kCells - filled, '.');
  std::snprintf(text, sizeof text, "] %zu/%zu", done, total);
  line += text;
  const auto worked = static_cast<double>(done - skipped);
  if (worked == 0 || seconds <= 0) return line;
  const double rate = worked / seconds;
  std::snprintf(text, sizeof text, rate >= 1 ? "  %.1f/s" : "  %.1f s each", rate >= 1 ? rate : 1 / rate);
  line += text;
  return line + (done < total ? "  " + clock_time(static_cast<double>(total - done) / rate) + " left"
                              : "  in " + clock_time(seconds));
}

Progress::Progress(std::string what, std::size_t total)
    : Progress(std::move(what), total, stderr, ::isatty(STDERR_FILENO) == 1) {}

Progress::Progress(std::string what, std::size_t total, std::FILE* out, bool terminal)
    : what_(std::move(what)), total_(total), out_(out), terminal_(terminal) {}

void Progress::count(bool skipped) {
  const std::lock_guard lock(mutex_);
  ++done_;
  skipped_ += skipped;
  const std::chrono::duration<double> since = Clock::now() - shown_at_;
  const bool due =
      terminal_ ? since.count() >= 0.1 || done_ == 1 : since.count() >= 10 || (done_ - shown_) * 10 >= total_;
  if (due && done_ < total_) show();
}

// The cursor stays at the line's start, so output of others overwrites the bar instead of following it.
void Progress::show() {
  const std::chrono::duration<double> seconds = Clock::now() - start_;
  std::string line = progress_line(what_, done_, skipped_, total_, seconds.count());
  if (terminal_) {
    winsize size{};
    if (::ioctl(::fileno(out_), TIOCGWINSZ, &size) == 0 && size.ws_col > 1 && line.size() >= size.ws_col)
      line.resize(size.ws_col - 1u);
  }
  std::fprintf(out_, terminal_ ? "\r%s\x1b[K\r" : "%s\n", line.c_str());
  std::fflush(out_);
  shown_at_ = Clock::now();
  shown_ = done_;
}

void Progress::say(std::string_view line) {
  const std::lock_guard lock(mutex_);
  std::fprintf(out_, "%s%.*s\n", terminal_ ? "\r\x1b[K" : "", static_cast<int>(line.size()), line.data());
  if (terminal_ && done_ > 0 && !finished_) show();
  std::fflush(out_);
}

void Progress::finish() {
  const std::lock_guard lock(mutex_);
  if (finished_) return;
  finished_ = true;
  if (done_ == 0) return;
  show();
  if (terminal_) std::fputc('\n', out_);
  std::fflush(out_);
}

void catch_interrupts() {
  struct sigaction action {};
  action.sa_handler = on_signal;
  ::sigemptyset(&action.sa_mask);
  action.sa_flags = SA_RESTART;
  ::sigaction(SIGINT, &action, nullptr);
  ::sigaction(SIGTERM, &action, nullptr);
}

bool interrupted() {
  return interrupt_seen.load();
}

}  // namespace bp
