// What the files of the check program share. A check that fails is printed and counted; the program goes on.
#pragma once

#include <string>
#include <vector>

#include "../trainer.h"

using sfumato::Activation;
using sfumato::Kind;
using sfumato::Loss;
using sfumato::Method;
using sfumato::Precision;
using sfumato::Settings;
using sfumato::Trainer;
using Floats = std::vector<float>;

constexpr int kSamples = 77;

struct Values {  // arrays in the trainer's order
  std::vector<Floats> arrays;

  explicit Values(const Trainer& trainer) {
    for (size_t size : trainer.array_sizes()) arrays.emplace_back(size);
  }
  sfumato::Arrays pointers() {
    sfumato::Arrays result;
    for (auto& array : arrays) result.push_back(array.data());
    return result;
  }
  sfumato::ConstArrays constants() const {
    sfumato::ConstArrays result;
    for (const auto& array : arrays) result.push_back(array.data());
    return result;
  }
  void add(double factor, const Values& other) {
    for (size_t i = 0; i < arrays.size(); i++)
      for (size_t j = 0; j < arrays[i].size(); j++) arrays[i][j] += static_cast<float>(factor * other.arrays[i][j]);
  }
  double squares() const {
    double sum = 0;
    for (const auto& array : arrays)
      for (float x : array) sum += static_cast<double>(x) * x;
    return sum;
  }
};

inline int failures = 0;

void expect(bool fine, const char* what, const Settings& s, double value);

int nets(const std::string& isa);       // nets.cc: how many were checked
void shortcuts(const std::string& isa);  // shortcuts.cc
void transforms(const std::string& isa);  // hadamard.cc
void turns(const std::string& isa);      // survival.cc, this and the next
void survival();
