#include "pool.h"

#if defined(__x86_64__)
#include <xmmintrin.h>
#endif

namespace sfumato {
namespace {

#ifndef SFUMATO_SPINS
#define SFUMATO_SPINS 5000
#endif

void pause() {
#if defined(__x86_64__)
  _mm_pause();
#elif defined(__aarch64__)
  asm volatile("yield");
#endif
}

// Wait until `value` is no longer `old`: spin for about 0.2 ms (a barrier between training steps is shorter),
// then let the operating system wake us.
void await_change(const std::atomic<uint32_t>& value, uint32_t old) {
  for (int i = 0; i < SFUMATO_SPINS; i++) {
    if (value.load(std::memory_order_acquire) != old) return;
    pause();
  }
  value.wait(old, std::memory_order_acquire);
}

}  // namespace

void Barrier::wait() {
  if (count_ == 1) return;
  const uint32_t round = passed_.load(std::memory_order_acquire);
  if (arrived_.fetch_add(1, std::memory_order_acq_rel) + 1 == count_) {
    arrived_.store(0, std::memory_order_relaxed);
    passed_.fetch_add(1, std::memory_order_release);
    passed_.notify_all();
  } else {
    await_change(passed_, round);
  }
}

FlushDenormals::FlushDenormals() {
#if defined(__x86_64__)
  saved_ = _mm_getcsr();
  _mm_setcsr(static_cast<unsigned>(saved_) | 0x8040);  // flush to zero, denormals are zero
#elif defined(__aarch64__)
  asm volatile("mrs %0, fpcr" : "=r"(saved_));
  asm volatile("msr fpcr, %0" ::"r"(saved_ | (uint64_t(1) << 24)));
#else
  saved_ = 0;
#endif
}

FlushDenormals::~FlushDenormals() {
#if defined(__x86_64__)
  _mm_setcsr(static_cast<unsigned>(saved_));
#elif defined(__aarch64__)
  asm volatile("msr fpcr, %0" ::"r"(saved_));
#endif
}

Pool::Pool(int threads) : size_(threads), barrier_(threads) {
  threads_.reserve(threads - 1);
  for (int t = 1; t < threads; t++) threads_.emplace_back([this, t] { work(t); });
}

Pool::~Pool() {
  closing_.store(true, std::memory_order_release);
  started_.fetch_add(1, std::memory_order_release);
  started_.notify_all();
  for (auto& thread : threads_) thread.join();
}

void Pool::work(int t) {
  const FlushDenormals flush;
  uint32_t seen = 0;
  for (;;) {
    await_change(started_, seen);
    seen++;  // run() waits for all, so no start can be missed
    if (closing_.load(std::memory_order_acquire)) return;
    (*job_)(t);
    finished_.fetch_add(1, std::memory_order_release);
    finished_.notify_one();
  }
}

void Pool::run(const std::function<void(int)>& job) {
  const FlushDenormals flush;
  const uint32_t others = static_cast<uint32_t>(size_ - 1);
  finished_.store(0, std::memory_order_relaxed);
  job_ = &job;
  if (others) {
    started_.fetch_add(1, std::memory_order_release);
    started_.notify_all();
  }
  job(0);
  for (uint32_t done; (done = finished_.load(std::memory_order_acquire)) != others;) await_change(finished_, done);
}

}  // namespace sfumato
