// A data set of synthetic manipulations, written as Tp/, Gt/ and Au/; see docs/formats.md.
#pragma once
#include <functional>
#include <map>

#include "apps/iml/synth_compose.h"

namespace bp {

struct SynthOptions {
  fs::path out;
  i64 count = 0;           // of all images
  double authentic = 0.1;  // share of them that is not manipulated
  SampleOptions sample;
  std::map<std::string, std::string>
      settings;        // what a folder's images depend on (run_folder.h), but `count`
  bool force = false;  // begin anew
};

struct SynthReport {
  std::size_t made = 0, skipped = 0;         // skipped: an earlier run made them
  std::map<std::string, std::size_t> kinds;  // images of each kind, earlier ones too
  std::vector<std::string> unreadable;       // photographs and cut-outs that were left out
  bool interrupted = false;
};

// Image i of a seed is the same whatever `count` is and whoever makes it: a larger set goes on where a
// smaller one ended. Throws Error where the folder holds images of other settings, where nothing can be read,
// and where a file cannot be written.
SynthReport synth(const SynthOptions& options, SourceStore& photos, SourceStore* cutouts,
                  const std::function<bool()>& interrupted);

// Whether image i is an authentic one: spread evenly, `share` of them all.
bool is_authentic(i64 index, double share);

}  // namespace bp
