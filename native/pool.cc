#include "pool.h"

#include <unistd.h>

#include <stdexcept>
#include <utility>

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
  } else if (!abandoned_.load(std::memory_order_acquire)) {
    await_change(passed_, round);
  }
  if (abandoned_.load(std::memory_order_acquire)) throw Abandoned();
}

// The mark comes before the change of `passed_`, so that whoever has read the new round sees it and does not wait.
void Barrier::abandon() {
  abandoned_.store(true, std::memory_order_release);
  passed_.fetch_add(1, std::memory_order_release);
  passed_.notify_all();
}

void Barrier::reset() {
  arrived_.store(0, std::memory_order_relaxed);
  abandoned_.store(false, std::memory_order_release);
}

void Mutex::lock() {
  const uint64_t process = static_cast<uint64_t>(getpid()) << 32;
  for (uint64_t now = users_.load(), next;;) {
    const uint64_t callers = now & UINT32_MAX;
    const bool here = now - callers == process;
    if (!here && callers)
      throw std::runtime_error("this trainer was at work in another thread when the process was forked");
    next = here ? now + 1 : process + 1;
    if (users_.compare_exchange_weak(now, next)) break;
  }
  mutex_.lock();
}

void Mutex::unlock() {
  mutex_.unlock();
  users_.fetch_sub(1);  // last: forked in between, the child refuses where it might have waited for ever
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

Pool::~Pool() {
  if (threads_ && process_ == getpid()) stop();
  else (void)threads_.release();
}

void Pool::start() {
  if (threads_ && process_ == getpid()) return;
  (void)threads_.release();  // they belong to the process that this one was forked from: neither to be joined nor ended
  barrier_.reset();
  threads_ = std::make_unique<std::vector<std::thread>>();
  process_ = getpid();
  try {
    threads_->reserve(size_ - 1);
    const uint32_t seen = started_.load(std::memory_order_relaxed);
    for (int t = 1; t < size_; t++) threads_->emplace_back([this, t, seen] { work(t, seen); });
  } catch (...) {
    stop();
    throw;
  }
}

void Pool::stop() {
  closing_.store(true, std::memory_order_release);
  started_.fetch_add(1, std::memory_order_release);
  started_.notify_all();
  for (auto& thread : *threads_) thread.join();
  threads_.reset();
  closing_.store(false, std::memory_order_relaxed);
}

void Pool::work(int t, uint32_t seen) {
  const FlushDenormals flush;
  for (;;) {
    await_change(started_, seen);
    seen++;  // run() waits for all, so no start can be missed
    if (closing_.load(std::memory_order_acquire)) return;
    perform(t);
    finished_.fetch_add(1, std::memory_order_release);
    finished_.notify_one();
  }
}

void Pool::perform(int t) {
  try {
    (*job_)(t);
  } catch (const Abandoned&) {  // another thread has the reason
  } catch (...) {
    if (!failed_.exchange(true)) error_ = std::current_exception();
    barrier_.abandon();
  }
}

void Pool::run(const std::function<void(int)>& job) {
  const FlushDenormals flush;
  const uint32_t others = static_cast<uint32_t>(size_ - 1);
  if (others) start();
  finished_.store(0, std::memory_order_relaxed);
  job_ = &job;
  if (others) {
    started_.fetch_add(1, std::memory_order_release);
    started_.notify_all();
  }
  perform(0);
  for (uint32_t done; (done = finished_.load(std::memory_order_acquire)) != others;) await_change(finished_, done);
  if (!failed_.load(std::memory_order_acquire)) return;
  failed_.store(false, std::memory_order_relaxed);
  barrier_.reset();
  std::rethrow_exception(std::exchange(error_, nullptr));
}

}  // namespace sfumato
