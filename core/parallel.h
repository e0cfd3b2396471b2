// Loops over threads: exceptions reach the caller, and every thread is joined on every path.
#pragma once

#include <algorithm>
#include <atomic>
#include <cstddef>
#include <exception>
#include <system_error>
#include <thread>
#include <vector>

namespace hornbook {

// Threads that are joined when it goes out of scope.
class JoinedThreads {
  public:
    JoinedThreads() = default;
    JoinedThreads(const JoinedThreads&) = delete;
    JoinedThreads& operator=(const JoinedThreads&) = delete;
    ~JoinedThreads() {
        for (std::thread& thread : threads_) thread.join();
    }

    // Starts one more thread; returns false where the system allows no more.
    template <class Work>
    bool start(const Work& work, size_t worker) {
        threads_.reserve(threads_.size() + 1);
        try {
            threads_.emplace_back(work, worker);
        } catch (const std::system_error&) {
            return false;
        }
        return true;
    }

  private:
    std::vector<std::thread> threads_;
};

// More threads than any machine has cores for are not started.
constexpr size_t max_threads = 1024;

// Calls task(i, worker) once for each i < count, on up to `threads` threads, numbered by `worker`. Where the system
// refuses a thread, the others do its work. The first exception stops the loop and is thrown here.
template <class Task>
void in_parallel(size_t threads, size_t count, Task task) {
    std::atomic<size_t> next{0};
    std::exception_ptr error;
    std::atomic<bool> failed{false};
    const auto work = [&](size_t worker) {
        try {
            for (size_t i; !failed && (i = next++) < count;) task(i, worker);
        } catch (...) {
            if (!failed.exchange(true)) error = std::current_exception();
        }
    };
    {
        JoinedThreads others;
        for (size_t i = 1; i < std::min({threads, count, max_threads}) && others.start(work, i); ++i) {
        }
        work(0);
    }
    if (error) std::rethrow_exception(error);
}

// The same for ranges of neighbours: task(first, last, worker) covers each i < count once.
template <class Task>
void in_ranges(size_t threads, size_t count, Task task) {
    const size_t size = std::max<size_t>(1, std::min<size_t>(2048, count / (4 * std::max<size_t>(1, threads))));
    in_parallel(threads, (count + size - 1) / size,
                [&](size_t i, size_t worker) { task(i * size, std::min(count, (i + 1) * size), worker); });
}

}  // namespace hornbook
