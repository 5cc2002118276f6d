// Parameters from a source into a net, and from a net into a file.
#pragma once
#include <map>
#include <string>
#include <vector>

#include "weights/source.h"

namespace bp {

struct Mismatch {
  struct WrongShape {
    std::string name;
    Shape found, wanted;
  };
  std::vector<std::string> missing;
  std::vector<WrongShape> wrong;

  bool any() const { return !missing.empty() || !wrong.empty(); }
  // "3 missing: a, b, c; 1 of wrong shape: d [2] wanted [3]"; of long lists only the beginning.
  std::string summary() const;
};

Mismatch compare(const Params& params, const Source& source);
// Throws one Error with compare()'s summary unless the source holds every parameter in its published shape.
void require_complete(const Params& params, const Source& source);

struct LoadOptions {
  DType dtype = DType::f32;  // f32 or bf16; statistics (Param::trained false) are f32 in any case
  bool own = false;          // copy what would share a mapped file: for weights that training will change
};

// Sets every parameter's tensor, in our layout. What the source holds in the wanted type and a layout that is
// ours already shares the mapped file's memory. All mismatches are told in one Error, before anything is set.
void load(const Params& params, const Source& source, const LoadOptions& options = {});

// Writes the parameters as safetensors under their published names and shapes, in f32 or bf16;
// statistics in f32.
void save(const Params& params, const std::string& path, DType dtype = DType::f32,
          const std::map<std::string, std::string>& metadata = {});

// The same from a source to a file, one tensor in memory at a time.
void transfer(const Params& params, const Source& source, const std::string& path, DType dtype,
              const std::map<std::string, std::string>& metadata);

}  // namespace bp
