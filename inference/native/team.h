// Threads that work through the phases of a job together: each phase is a number of tasks, taken one by one.
//
// Nobody waits for a thread, only for tasks that somebody has begun: a thread that the system has put aside between two
// tasks holds up no one. Where others need the cores, waiting threads yield, and after a job that was mostly waiting
// the caller works alone for a while.
#pragma once

#include <atomic>
#include <chrono>
#include <condition_variable>
#include <cstdint>
#include <memory>
#include <mutex>
#include <thread>
#include <vector>

class Worker;

struct Job {
    virtual int num_phases() const = 0;  // at most MAX_PHASES
    virtual void run(Worker &worker) = 0;
    virtual ~Job() = default;
};

class Team {
  public:
    explicit Team(int threads) {
        for (int i = 1; i < threads; i++) helpers_.emplace_back([this] { help(); });
    }

    ~Team() {
        {
            std::lock_guard lock(mutex_);
            stopping_ = true;
        }
        wake_.notify_all();
        for (std::thread &helper : helpers_) helper.join();
    }

    // Returns when every task of every phase is done. One caller at a time.
    void run(std::shared_ptr<Job> job);

  private:
    friend class Worker;
    using Clock = std::chrono::steady_clock;

    static constexpr int MAX_PHASES = 4096;
    static constexpr int SPINS = 2000;       // about 30 us before a waiting thread yields
    static constexpr int SOLO_RUNS = 32;

    struct alignas(64) Phase {
        std::atomic<uint64_t> taken{0};  // epoch in the upper half, tasks taken in the lower
        alignas(64) std::atomic<uint64_t> done{0};
    };

    void help();

    std::vector<std::thread> helpers_;
    std::vector<Phase> phases_ = std::vector<Phase>(MAX_PHASES);
    std::mutex mutex_;
    std::condition_variable wake_;
    std::shared_ptr<Job> job_;
    std::atomic<uint32_t> epoch_{0};
    std::atomic<bool> stopping_{false};
    int solo_runs_ = 0;
};

// One thread's way through one job.
class Worker {
  public:
    Worker(Team &team, uint32_t epoch) : team_(team), epoch_(epoch) {}

    template <class Task>
    void share(int count, Task task) {
        share(count, [] {}, task);
    }

    // Runs `task(0)` to `task(count - 1)`, each once in the whole team; `prepare` first in every thread that gets one.
    template <class Prepare, class Task>
    void share(int count, Prepare prepare, Task task) {
        Team::Phase &phase = team_.phases_[index_++];
        bool prepared = false;
        for (int number; (number = take(phase, count)) >= 0;) {
            if (!prepared) prepare();
            prepared = true;
            task(number);
            phase.done.fetch_add(1, std::memory_order_acq_rel);
        }
        wait(phase, count);
    }

    Team::Clock::duration waited{};

  private:
    // -1 when all are taken, or when the team has gone on to another job.
    int take(Team::Phase &phase, int count) {
        uint64_t seen = phase.taken.load(std::memory_order_acquire);
        do {
            if (seen >> 32 != epoch_ || int(uint32_t(seen)) >= count) return -1;
        } while (!phase.taken.compare_exchange_weak(seen, seen + 1, std::memory_order_acq_rel));
        return int(uint32_t(seen));
    }

    void wait(Team::Phase &phase, int count) {
        auto is_over = [&] {
            return phase.done.load(std::memory_order_acquire) >= uint64_t(count) ||
                   team_.epoch_.load(std::memory_order_relaxed) != epoch_;
        };
        if (is_over()) return;
        auto started = Team::Clock::now();
        for (int spins = 0; !is_over(); spins++) {
            if (spins > Team::SPINS) std::this_thread::yield();
#if defined(__x86_64__)
            else __builtin_ia32_pause();
#endif
        }
        waited += Team::Clock::now() - started;
    }

    Team &team_;
    uint32_t epoch_;
    int index_ = 0;
};

inline void Team::run(std::shared_ptr<Job> job) {
    const uint32_t epoch = epoch_.load(std::memory_order_relaxed) + 1;
    for (int i = 0; i < job->num_phases(); i++) {
        phases_[i].done.store(0, std::memory_order_relaxed);
        phases_[i].taken.store(uint64_t(epoch) << 32, std::memory_order_release);
    }
    const bool solo = helpers_.empty() || solo_runs_ > 0;
    {
        std::lock_guard lock(mutex_);
        job_ = solo ? nullptr : job;
        epoch_.store(epoch, std::memory_order_release);
    }
    if (!solo) wake_.notify_all();
    auto started = Clock::now();
    Worker worker(*this, epoch);
    job->run(worker);
    if (solo_runs_ > 0) solo_runs_--;
    else if (const auto took = Clock::now() - started; (took - worker.waited) * (helpers_.size() + 1) < took)
        solo_runs_ = SOLO_RUNS;  // alone it would have been faster
}

inline void Team::help() {
    uint32_t seen = 0;
    for (;;) {
        for (int spins = 0; spins < SPINS && epoch_.load(std::memory_order_acquire) == seen && !stopping_; spins++) {
#if defined(__x86_64__)
            __builtin_ia32_pause();
#endif
        }
        std::shared_ptr<Job> job;
        {
            std::unique_lock lock(mutex_);
            wake_.wait(lock, [&] { return stopping_ || epoch_.load() != seen; });
            if (stopping_) return;
            seen = epoch_.load();
            job = job_;
        }
        if (job) {
            Worker worker(*this, seen);
            job->run(worker);
        }
    }
}
