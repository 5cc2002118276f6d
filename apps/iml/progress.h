// How far a long run is, on stderr: a bar on a terminal, else a line every 10 seconds or tenth of the work.
#pragma once
#include <chrono>
#include <cstdio>
#include <mutex>
#include <string>
#include <string_view>

namespace bp {

// "teach  37% [#######.............] 37/100  2.1/s  0:30 left". `skipped` of the `done` were not worked on
// and do not count for the rate.
std::string progress_line(std::string_view what, std::size_t done, std::size_t skipped, std::size_t total,
                          double seconds);

// All members may be called from any thread.
class Progress {
 public:
  Progress(std::string what, std::size_t total);
  Progress(std::string what, std::size_t total, std::FILE* out, bool terminal);
  ~Progress() { finish(); }
  Progress(const Progress&) = delete;
  Progress& operator=(const Progress&) = delete;

  void advance() { count(false); }  // one more is done
  void skip() { count(true); }      // one more need not be done
  void say(std::string_view line);  // a line of its own, above the bar
  void finish();                    // shows the end and leaves the line

 private:
  using Clock = std::chrono::steady_clock;
  void count(bool skipped);
  void show();

  std::mutex mutex_;
  const std::string what_;
  const std::size_t total_;
  std::FILE* const out_;
  const bool terminal_;
  const Clock::time_point start_ = Clock::now();
  Clock::time_point shown_at_ = start_;
  std::size_t done_ = 0, skipped_ = 0, shown_ = 0;
  bool finished_ = false;
};

// From here on the first Ctrl-C (or SIGTERM) only sets interrupted(), so that a loop can end between two
// pieces of work; the second ends the process at once.
void catch_interrupts();
bool interrupted();

}  // namespace bp
