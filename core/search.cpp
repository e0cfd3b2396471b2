// BM25 for many queries at once over blocks of units: hornbook/retrieval/reference.py defines the result.
//
// The rows of a block stand by rising length. For a unit that holds each term once, the score is the sum of their
// weights (count * idf) divided by 1 + s, where s hangs on the length alone; repeating a term adds to that. So what a
// unit's weights must sum up to, to be good enough, is the same for rows side by side, and rises with the row.
//
// What is found is looked for in three steps, each dearer and for fewer units: for windows of 8 rows, the sum of all
// terms that stand in any of them; in the windows where that is enough, the same row by row; then the score. The sums
// are whole numbers below 256, rounded up, so no hit is missed. Only the score decides: nothing hangs on rounding.
#include "search.h"

#include <nanobind/stl/string.h>
#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <cstring>
#include <exception>
#include <functional>
#include <limits>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include "texts.h"
#include "wide.h"
#include "windows.h"

namespace hornbook {
namespace {

constexpr size_t blocks_at_once = 16;      // prepared together: bounds memory
constexpr size_t worth_remembering = 256;  // hits wanted: of so many, few found ones turn out not to be; any is right
constexpr size_t worth_a_bar = 256;        // windows beside twice those that give one; tuned, any is right

inline uint32_t ones(uint64_t bits) { return static_cast<uint32_t>(__builtin_popcountll(bits)); }
inline uint32_t first_one(uint64_t bits) { return static_cast<uint32_t>(__builtin_ctzll(bits)); }

constexpr size_t ones_at_once = 4;

// Writes down from `to` on which bits are set, counted from `first`. Some at a time, as how many there are could not be
// foretold: behind the last there is room for as many more. Returns where those that are set end.
template <class Number>
Number* write_ones(uint64_t bits, size_t first, Number* to) {
    Number* const end = to + ones(bits);
    do
        for (size_t i = 0; i < ones_at_once; ++i, ++to, bits &= bits - 1)
            *to = static_cast<Number>(first + first_one(bits | uint64_t{1} << 63));
    while (to < end);
    return end;
}

// Runs task(i, worker) for each i below `count`; the workers, one a thread, are numbered.
template <class Task>
void in_parallel(size_t threads, size_t count, Task task) {
    std::atomic<size_t> next{0};
    std::exception_ptr wrong;
    std::atomic<bool> failed{false};
    auto work = [&](size_t worker) {
        try {
            for (size_t i; !failed && (i = next++) < count;) task(i, worker);
        } catch (...) {
            if (!failed.exchange(true)) wrong = std::current_exception();
        }
    };
    std::vector<std::thread> others;
    for (size_t i = 1; i < std::min(threads, count); ++i) others.emplace_back(work, i);
    work(0);
    for (std::thread& other : others) other.join();
    if (wrong) std::rethrow_exception(wrong);
}

// The same for neighbours of `count` in turn: task(first, last, worker).
template <class Task>
void in_shares(size_t threads, size_t count, Task task) {
    const size_t share = std::max<size_t>(1, std::min<size_t>(2048, count / (4 * threads)));
    in_parallel(threads, (count + share - 1) / share,
                [&](size_t i, size_t worker) { task(i * share, std::min(count, (i + 1) * share), worker); });
}

// A block as it lies at rest, see hornbook/corpus/inverted.py.
struct Block {
    In<int64_t> units;
    In<uint32_t> lengths, length_ends;
    In<uint32_t> rare_ends;
    In<uint16_t> rare_windows;
    In<uint8_t> rare_rows;
    In<uint32_t> frequent_terms, frequent_ends;
    In<uint64_t> windows;
    In<uint8_t> frequent_rows;
    In<uint32_t> repeat_terms, repeat_ends, repeat_rows, repeat_counts;
};

// Where a term stands in a block, nowhere where `size` is 0.
struct List {
    bool frequent = false;
    uint32_t number = 0;  // of a frequent term
    uint32_t start = 0;   // in the rows of rare, or of frequent terms
    uint32_t size = 0;    // windows
    uint32_t repeat_start = 0, repeats = 0, first_extra = 0;
    float most_extra = 0;  // of its repeats
};

struct Hit {
    double score;
    int64_t unit;
    // Better hits first; of equal ones the unit with the lower id.
    bool operator<(const Hit& other) const {
        return score != other.score ? score > other.score : unit < other.unit;
    }
};

struct Term {
    uint32_t place;
    uint32_t count;
    double weight;
};

struct Query {
    size_t first, last;  // of its terms, in the order in which a score is summed
    size_t k;
    double bar;  // a hit's score must be above it
    std::vector<Hit> hits;
    std::vector<double> known;  // scores of hits that were handed over

    // Takes some hits, or the best of them; holds no more than twice as many as are wanted.
    void take(std::vector<Hit>& some) {
        if (hits.size() + some.size() > 2 * k) {
            settle();
            cut(some);
        }
        hits.insert(hits.end(), some.begin(), some.end());
    }

    // Raises the bar to the k-th of all hits, and leaves those above it.
    void settle() {
        if (known.size() + hits.size() < k) return;
        std::vector<double> all;
        all.reserve(known.size() + hits.size());
        all.insert(all.end(), known.begin(), known.end());
        for (const Hit& hit : hits) all.push_back(hit.score);
        const auto kth = all.begin() + static_cast<std::ptrdiff_t>(k - 1);
        std::nth_element(all.begin(), kth, all.end(), std::greater<>());
        raise(*kth);
        keep(known, [&](double score) { return score > bar; });
        keep(hits, [&](const Hit& hit) { return hit.score > bar; });
        // Of equal ones there may be any number.
        cut(known, std::greater<>());
        cut(hits);
    }

    // Forgets the hits, which were handed over, but not how good they are.
    void forget() {
        if (k < worth_remembering)
            for (const Hit& hit : hits) known.push_back(hit.score);
        hits.clear();
    }

    // Leaves the k best.
    template <class Item, class Better = std::less<>>
    void cut(std::vector<Item>& some, Better better = {}) const {
        if (some.size() <= k) return;
        std::nth_element(some.begin(), some.begin() + static_cast<std::ptrdiff_t>(k - 1), some.end(), better);
        some.resize(k);
    }

    // Leaves the good ones, without a branch, as none could be foretold.
    template <class Item, class Good>
    static void keep(std::vector<Item>& items, Good good) {
        Item* to = items.data();
        for (const Item& item : items) {
            const bool is = good(item);
            *to = item;
            to += is;
        }
        items.resize(static_cast<size_t>(to - items.data()));
    }

    // At least k units reach this score; another one that does, too, may have a lower id.
    void raise(double score) {
        bar = std::max(bar, std::nextafter(score, 0.0));
    }
};

using AllHits = std::tuple<Out<uint64_t>, Out<int64_t>, Out<double>>;

class Search {
  public:
    Search(const In<uint64_t>& starts, const In<uint32_t>& places, const In<uint32_t>& counts, const In<double>& idf,
           const In<uint32_t>& k, const In<double>& bars, double k1, double b, double mean_length, size_t threads)
        : idf_(idf.data(), idf.data() + idf.size()), k1_(k1), b_(b), mean_length_(mean_length), threads_(threads) {
        for (size_t i = 0; i < threads; ++i) workers_.emplace_back(*this);
        if (starts.size() != k.size() + 1 || bars.size() != k.size() || places.size() != counts.size() ||
            starts(0) != 0 || starts(k.size()) != places.size() || !threads)
            throw std::invalid_argument("queries whose parts do not fit each other");
        for (size_t i = 0; i < k.size(); ++i) {
            if (!k(i) || starts(i) > starts(i + 1)) throw std::invalid_argument("queries whose parts do not fit each other");
            queries_.push_back({starts(i), starts(i + 1), k(i), std::nextafter(bars(i), 0.0), {}, {}});
            for (size_t at = starts(i); at < starts(i + 1); ++at) {
                if (places(at) >= idf_.size()) throw std::invalid_argument("a term without an idf");
                terms_.push_back({places(at), counts(at), counts(at) * idf_[places(at)]});
            }
        }
    }

    // Goes over blocks of a shard. ids[place] is the id there of a term of the queries, or below 0; ids rise.
    void add(const std::vector<Block>& blocks, const In<int32_t>& ids) {
        nb::gil_scoped_release release;
        held_.clear();
        for (size_t place = 0; place < ids.size(); ++place)
            if (ids(place) >= 0) held_.push_back({static_cast<uint32_t>(ids(place)), static_cast<uint32_t>(place)});
        check(ids.size() == idf_.size() && std::is_sorted(held_.begin(), held_.end()));
        for (size_t first = 0; first < blocks.size(); first += blocks_at_once) {
            const size_t count = std::min(blocks_at_once, blocks.size() - first);
            if (prepared_.size() < count) prepared_.resize(count);
            in_parallel(threads_, count, [&](size_t i, size_t) { prepare(blocks[first + i], prepared_[i]); });
            in_shares(threads_, queries_.size(), [&](size_t from, size_t to, size_t worker) {
                for (size_t i = 0; i < count; ++i) workers_[worker].go_over(prepared_[i], &queries_[from], &queries_[0] + to);
            });
        }
    }

    // What was found since the last time, the hits of all queries one after another, in no order, and where those of each
    // start. What is handed over goes on to raise the bars.
    AllHits hits() {
        std::vector<uint64_t> starts{0};
        std::unique_ptr<int64_t[]> units;
        std::unique_ptr<double[]> scores;
        {
            nb::gil_scoped_release release;
            in_shares(threads_, queries_.size(), [&](size_t from, size_t to, size_t) {
                for (size_t q = from; q < to; ++q)
                    if (queries_[q].hits.size() > queries_[q].k) queries_[q].settle();
            });
            for (const Query& q : queries_) starts.push_back(starts.back() + q.hits.size());
            units.reset(new int64_t[starts.back()]);
            scores.reset(new double[starts.back()]);
            in_shares(threads_, queries_.size(), [&](size_t from, size_t to, size_t) {
                for (size_t q = from; q < to; ++q) {
                    for (size_t i = 0, at = starts[q]; at < starts[q + 1]; ++i, ++at) {
                        units[at] = queries_[q].hits[i].unit;
                        scores[at] = queries_[q].hits[i].score;
                    }
                    queries_[q].forget();
                }
            });
        }
        const size_t size = starts.back();
        return {give(std::move(starts)), give(std::move(units), size), give(std::move(scores), size)};
    }

  private:
    // A block with what all queries need of it.
    struct Prepared {
        const int64_t* units;
        const uint16_t* rare_windows;
        const uint8_t *rare_rows, *frequent_rows;
        const uint32_t *repeat_rows, *repeat_counts;
        const uint64_t* windows;
        size_t strips;
        std::vector<List> lists;  // by place of a term
        std::vector<uint16_t> repeat_windows;  // of the rows that hold a term several times
        std::vector<float> extra;              // what that adds, in weights of the term
        std::vector<double> saturation, divisor;  // of each length: s and 1 + s
        std::vector<float> extra_of_two;          // of each length
        std::vector<uint16_t> length_of;          // of each row, which of the lengths
        std::vector<float> strip_divisor;         // of the first, shortest row of each strip

        const uint64_t* windows_of(const List& list) const { return windows + list.number * bitmap_words(strips); }

        // Asks memory for what is read first.
        void fetch(const List& list) const {
            if (list.frequent) {
                const uint64_t* const at = windows_of(list);
                for (size_t i = 0; i < strips && i < 64; i += 8) __builtin_prefetch(at + i);
            } else {
                const uint16_t* const at = rare_windows + list.start;
                for (size_t i = 0; i < list.size; i += 32) __builtin_prefetch(at + i);
            }
            if (!list.repeats) return;
            __builtin_prefetch(repeat_windows.data() + list.first_extra);
            __builtin_prefetch(extra.data() + list.first_extra);
        }
    };

    // The id of a term in a shard, and its place among the terms of the queries.
    struct HeldTerm {
        uint32_t id, place;
        bool operator<(const HeldTerm& other) const { return id < other.id; }
    };

    static void check(bool fits) {
        if (!fits) throw std::invalid_argument("a block whose parts do not fit each other");
    }

    void prepare(const Block& block, Prepared& p) const {
        const size_t rows = block.units.size(), lengths = block.lengths.size();
        const size_t strips = p.strips = (rows + window_rows * strip_windows - 1) / (window_rows * strip_windows);
        const size_t frequent = block.frequent_terms.size();
        check(rows && rows <= max_block_rows && lengths && lengths <= UINT16_MAX &&
              block.length_ends.size() == lengths && block.length_ends(lengths - 1) == rows &&
              block.rare_rows.size() == block.rare_windows.size() &&
              block.frequent_ends.size() == frequent && block.windows.size() == bitmap_words(strips) * frequent &&
              block.repeat_ends.size() == block.repeat_terms.size() &&
              block.repeat_counts.size() == block.repeat_rows.size());
        p.units = block.units.data();
        p.rare_windows = block.rare_windows.data();
        p.rare_rows = block.rare_rows.data();
        p.windows = block.windows.data();
        p.frequent_rows = block.frequent_rows.data();
        p.repeat_rows = block.repeat_rows.data();
        p.repeat_counts = block.repeat_counts.data();
        p.length_of.resize(rows);
        p.saturation.clear();
        p.divisor.clear();
        p.extra_of_two.clear();
        for (size_t g = 0, row = 0; g < lengths; ++g) {
            // As NumPy computes it from left to right.
            p.saturation.push_back(k1_ * (1 - b_ + b_ * block.lengths(g) / mean_length_));
            p.divisor.push_back(1 + p.saturation[g]);
            p.extra_of_two.push_back(extra_of(p.saturation[g], 2));
            check(block.length_ends(g) >= row && block.length_ends(g) <= rows);
            std::fill(p.length_of.begin() + static_cast<std::ptrdiff_t>(row),
                      p.length_of.begin() + block.length_ends(g), static_cast<uint16_t>(g));
            row = block.length_ends(g);
        }
        p.strip_divisor.clear();
        for (size_t s = 0; s < strips; ++s)
            p.strip_divisor.push_back(static_cast<float>(p.divisor[p.length_of[s * strip_windows * window_rows]]));
        p.lists.assign(idf_.size(), {});
        p.repeat_windows.clear();
        p.extra.clear();
        prepare_rare(block, p);
        for_each_held(block.frequent_terms, [&](size_t i, List& list) {
            list.frequent = true;
            list.number = static_cast<uint32_t>(i);
            list.start = i ? block.frequent_ends(i - 1) : 0;
            list.size = block.frequent_ends(i) - list.start;
            check(list.start < block.frequent_ends(i) && block.frequent_ends(i) <= block.frequent_rows.size());
            __builtin_prefetch(p.windows_of(list) + word_of_strip(strips - 1));
        }, p);
        for_each_held(block.repeat_terms, [&](size_t i, List& list) {
            const uint32_t start = i ? block.repeat_ends(i - 1) : 0, end = block.repeat_ends(i);
            check(start < end && end <= block.repeat_rows.size() && block.repeat_rows(end - 1) < rows && list.size);
            list.repeat_start = start;
            list.repeats = end - start;
            list.first_extra = static_cast<uint32_t>(p.extra.size());
            p.repeat_windows.resize(p.extra.size() + list.repeats);
            p.extra.resize(p.extra.size() + list.repeats);
            uint16_t* const windows = p.repeat_windows.data() + list.first_extra;
            float* const extra = p.extra.data() + list.first_extra;
            for (uint32_t j = 0; j < list.repeats; ++j) {
                const uint32_t row = p.repeat_rows[start + j], count = p.repeat_counts[start + j];
                const uint16_t length = p.length_of[row];
                windows[j] = static_cast<uint16_t>(row / window_rows);
                extra[j] = count == 2 ? p.extra_of_two[length] : extra_of(p.saturation[length], count);
                list.most_extra = std::max(list.most_extra, extra[j]);
            }
        }, p);
        check_ends(p);
    }

    // How much more tf / (tf + s) is, in weights over 1 + s, than 1 / (1 + s).
    static float extra_of(double s, double tf) { return static_cast<float>(s * (tf - 1) / (tf + s)); }

    void prepare_rare(const Block& block, Prepared& p) const {
        const uint32_t* const ends = block.rare_ends.data();
        for (const HeldTerm& term : held_) {
            check(term.id < block.rare_ends.size());
            const uint32_t start = term.id ? ends[term.id - 1] : 0, end = ends[term.id];
            if (start == end) continue;
            check(start < end && end <= block.rare_windows.size());
            List& list = p.lists[term.place];
            list.start = start;
            list.size = end - start;
            __builtin_prefetch(p.rare_windows + end - 1);
        }
    }

    // Checks where the lists end: in memory that was asked for when they were found, or each would be waited for.
    static void check_ends(const Prepared& p) {
        const size_t last = p.strips - 1;
        for (const List& list : p.lists) {
            if (list.frequent)
                check(rank_before(p.windows_of(list), last) + ones(p.windows_of(list)[word_of_strip(last)]) == list.size);
            else if (list.size)
                check(p.rare_windows[list.start + list.size - 1] < p.strips * strip_windows);
        }
    }

    // Calls task(i, list) for the i-th of some rising ids where a query holds that term.
    template <class Task>
    void for_each_held(const In<uint32_t>& ids, Task task, Prepared& p) const {
        const uint32_t *const start = ids.data(), *const end = start + ids.size(), *at = start;
        for (const HeldTerm& term : held_) {
            while (at < end && *at < term.id) ++at;
            if (at == end) break;
            if (*at == term.id) task(static_cast<size_t>(at - start), p.lists[term.place]);
        }
    }

    // A term of a query that stands in a block.
    struct Present {
        List list;
        double weight;
        uint32_t term;  // which of all
        uint64_t* held = nullptr;  // in which rows of the live windows, eight windows together

        uint8_t* rows_held() const { return reinterpret_cast<uint8_t*>(held); }
    };

    // A row of the live windows that holds a term several times.
    struct Repeated {
        const Present* term;
        uint32_t row, count;
    };

    // What one thread needs to go over a block with a query.
    struct Worker {
        explicit Worker(const Search& all) : search(all) {}

        // Goes over a block with some of the queries; what the next one reads is on its way in the meantime.
        void go_over(const Prepared& p, Query* q, Query* end) {
            meet(p, *q);
            for (; q < end; ++q) {
                present.swap(coming);
                most = coming_most;
                if (q + 1 < end) meet(p, q[1]);
                if (!present.empty()) go_over(p, *q);
            }
        }

        // Finds which terms of a query stand in a block.
        void meet(const Prepared& p, const Query& q) {
            coming.clear();
            coming_most = 0;
            for (size_t i = q.first; i < q.last; ++i) {
                const Term& term = search.terms_[i];
                const List& list = p.lists[term.place];
                if (!list.size) continue;
                coming.push_back({list, term.weight, static_cast<uint32_t>(i)});
                coming_most += term.weight * (1 + list.most_extra);
                p.fetch(list);
            }
        }

        void go_over(const Prepared& p, Query& q) {
            if (q.hits.size() + q.known.size() > q.k + q.k / 8) q.settle();
            least.resize(p.strips);
            live.resize(p.strips);
            numbered.resize(p.strips);
            if (!limit(p, q.bar)) return;
            sum_up(p);
            std::fill(live.begin() + static_cast<std::ptrdiff_t>(strips), live.end(), 0);
            find_live();
            if (count > worth_a_bar + 2 * first_windows(q))
                best_first(p, q);
            else
                look_at_live(p, q);
        }

        // How many windows are looked at first where a bar is sought: so many hold k good hits mostly.
        static size_t first_windows(const Query& q) { return 2 * q.k + 4; }

        // Says what the sum of a window must reach, strip by strip, and in how many it can.
        bool limit(const Prepared& p, double bar) {
            // Less than what rounding can add.
            const float need = static_cast<float>(bar * (1 - 1e-6)), all = static_cast<float>(most * (1 + 1e-6));
            const auto& divisor = p.strip_divisor;  // rises
            const auto end = std::partition_point(divisor.begin(), divisor.end(), [&](float d) { return need * d <= all; });
            strips = static_cast<size_t>(end - divisor.begin());
            if (!strips) return false;
            scale = 255 / (need > 0 ? need * divisor[strips - 1] : all);
            require(p, need);
            return true;
        }

        void require(const Prepared& p, float need) {
            uint8_t* const __restrict to = least.data();
            const float* const divisor = p.strip_divisor.data();
            const float scaled = need * scale;
            for (size_t s = 0, end = strips; s < end; ++s)
                to[s] = static_cast<uint8_t>(static_cast<int>(std::max(1.f, std::min(255.f, scaled * divisor[s]))));
        }

        // Sums up for each window what its terms weigh; of the strips behind those that are looked at that means nothing.
        void sum_up(const Prepared& p) {
            const size_t eights = groups_of(strips);
            sums.resize((p.strips + group_strips) * strip_windows);
            uint8_t* const to = sums.data();
            weighed.clear();
            for (const Present& term : present)
                if (term.list.frequent)
                    weighed.push_back({p.windows_of(term.list), static_cast<uint8_t>(up(weight_of(term)))});
            wide.sum(to, eights, group_words, weighed.data(), weighed.size());
            for (const Present& term : present) {
                const float weight = weight_of(term);
                if (!term.list.frequent) {
                    const uint32_t more = up(weight);
                    const uint16_t* const windows = p.rare_windows + term.list.start;
                    for (uint32_t i = 0, end = term.list.size; i < end; ++i) add(to[windows[i]], more);
                }
                const uint16_t* const windows = p.repeat_windows.data() + term.list.first_extra;
                const float* const extra = p.extra.data() + term.list.first_extra;
                for (uint32_t i = 0, end = term.list.repeats; i < end; ++i) add(to[windows[i]], up(weight * extra[i]));
            }
        }

        float weight_of(const Present& term) const { return static_cast<float>(term.weight) * scale; }

        // The next whole number, more than rounding can take away.
        static uint32_t up(float weight) { return static_cast<uint32_t>(std::min(weight * 1.000001f, 254.f)) + 1; }

        static void add(uint8_t& sum, uint32_t more) {
            const uint32_t both = sum + more;
            sum = static_cast<uint8_t>(both < 255 ? both : 255);
        }

        // Finds the windows whose sums are high enough, and counts them.
        void find_live() {
            lively.resize(strips + wide_room);
            lively.resize(wide.reach(sums.data(), least.data(), strips, live.data(), lively.data()));
            count_live();
        }

        void count_live() {
            count = 0;
            for (const uint32_t s : lively) {
                numbered[s] = count;
                count += ones(live[s]);
            }
        }

        // Where the bar lets many windows through: looks at those first that promise most, which raises it.
        void best_first(const Prepared& p, Query& q) {
            const size_t enough = first_windows(q);
            const float bar = static_cast<float>(q.bar * (1 - 1e-6));
            float low = bar, high = static_cast<float>(most) / p.strip_divisor[0];
            for (int i = 0; i < 8; ++i) {
                const float middle = (low + high) / 2;
                require(p, middle);
                find_live();
                (count < enough ? high : low) = middle;
            }
            require(p, low);
            find_live();
            done.assign(live.begin(), live.begin() + static_cast<std::ptrdiff_t>(strips));
            require(p, bar);  // of their rows
            look_at_live(p, q);
            q.settle();
            require(p, static_cast<float>(q.bar * (1 - 1e-6)));
            find_live();
            for (const uint32_t s : lively) live[s] &= ~done[s];
            count_live();
            look_at_live(p, q);
        }

        void look_at_live(const Prepared& p, Query& q) {
            if (!count) return;
            narrow(p);
            look_at(p, q);
        }

        // Says which rows of the live windows are good enough by themselves, and which terms they hold.
        void narrow(const Prepared& p) {
            alive.resize(count + ones_at_once);
            uint16_t* to = alive.data();
            for (const uint32_t s : lively) to = write_ones(live[s], s * strip_windows, to);
            alive.resize(count);
            const size_t groups = (alive.size() + 7) / 8, eights = groups_of(groups);
            held.assign(present.size() * eights * group_strips, 0);
            weighed.clear();
            for (Present& each : present) {
                each.held = held.data() + weighed.size() * eights * group_strips;
                weighed.push_back({each.held, static_cast<uint8_t>(up(weight_of(each)))});
            }
            find_frequent(p);
            find_rare(p);
            row_sums.resize(eights * group_strips * strip_windows);
            wide.sum(row_sums.data(), eights, group_strips, weighed.data(), weighed.size());
            find_repeats(p);
            // A strip asks for no less than those before.
            group_least.clear();
            for (size_t i = 0; i < alive.size(); i += 8) group_least.push_back(least[alive[i] / strip_windows]);
            wanted.resize(groups);
            some.resize(groups + wide_room);
            some.resize(wide.reach(row_sums.data(), group_least.data(), groups, wanted.data(), some.data()));
        }

        // Writes down for each live window which of its rows hold the frequent terms.
        void find_frequent(const Prepared& p) {
            bit_of.resize(count);
            for (size_t i = 0; i < bit_of.size(); ++i)
                bit_of[i] = static_cast<uint32_t>(word_of_strip(alive[i] / strip_windows) * strip_windows + alive[i] % strip_windows);
            for (Present& term : present) {
                if (!term.list.frequent) continue;
                const uint64_t* const words = p.windows_of(term.list);
                const uint32_t* const end = choose(words, bit_of.data(), count);
                const uint8_t* const rows = p.frequent_rows + term.list.start;
                uint8_t* const held = term.rows_held();
                for (const uint32_t* each = chosen.data(); each < end; ++each) {
                    const size_t at = bit_of[*each];
                    const uint64_t below = (uint64_t{1} << at % strip_windows) - 1;
                    held[*each] = rows[rank_before(words, alive[*each] / strip_windows) + ones(words[at / strip_windows] & below)];
                }
            }
        }

        void find_rare(const Prepared& p) {
            for (Present& term : present) {
                if (term.list.frequent) continue;
                const uint16_t* const windows = p.rare_windows + term.list.start;
                const uint8_t* const rows = p.rare_rows + term.list.start;
                const uint32_t* const end = choose(live.data(), windows, term.list.size);
                for (const uint32_t* each = chosen.data(); each < end; ++each)
                    term.rows_held()[slot_of(windows[*each])] = rows[*each];
            }
        }

        void find_repeats(const Prepared& p) {
            repeated.clear();
            for (Present& term : present) {
                const uint16_t* const windows = p.repeat_windows.data() + term.list.first_extra;
                const uint32_t* const end = choose(live.data(), windows, term.list.repeats);
                for (const uint32_t* each = chosen.data(); each < end; ++each) {
                    const uint32_t i = term.list.first_extra + *each, j = term.list.repeat_start + *each;
                    const uint32_t row = slot_of(windows[*each]) * window_rows + p.repeat_rows[j] % window_rows;
                    add(row_sums[row], up(weight_of(term) * p.extra[i]));
                    repeated.push_back({&term, row, p.repeat_counts[j]});
                }
            }
        }

        // Chooses those of some bits that are set, without a branch, as none could be foretold; returns where they end.
        template <class Place>
        const uint32_t* choose(const uint64_t* words, const Place* places, uint32_t size) {
            if (chosen.size() < size + 1) chosen.resize(size + 1);
            uint32_t* end = chosen.data();
            for (uint32_t i = 0; i < size; ++i) {
                *end = i;
                end += words[places[i] / strip_windows] >> places[i] % strip_windows & 1;
            }
            return end;
        }

        // The number of a live window among these.
        uint32_t slot_of(uint32_t at) const {
            const size_t s = at / strip_windows;
            return numbered[s] + ones(live[s] & ((uint64_t{1} << at % strip_windows) - 1));
        }

        // Scores the wanted rows, going over the terms in the order of the reference, so that equal units have equal
        // scores to the last bit.
        void look_at(const Prepared& p, Query& q) {
            rows.resize(alive.size() * window_rows + ones_at_once);
            first_row.resize(wanted.size());
            uint32_t* end = rows.data();
            // Behind the last live window and behind the last row no term stands.
            for (const uint32_t group : some) {
                first_row[group] = static_cast<uint32_t>(end - rows.data());
                end = write_ones(wanted[group], group * strip_windows, end);
            }
            rows.resize(static_cast<size_t>(end - rows.data()));
            for (uint32_t& row : rows) row = alive[row / window_rows] * static_cast<uint32_t>(window_rows) + row % window_rows;
            divisor.resize(rows.size() + wide_room);
            for (size_t i = 0; i < rows.size(); ++i) {
                __builtin_prefetch(p.units + rows[i]);
                divisor[i] = p.divisor[p.length_of[rows[i]]];
            }
            scores.assign(rows.size() + wide_room, 0.0);
            const Repeated* next = repeated.data();
            for (const Present& each : present) next = add_scores(p, each, next);
            good.resize(rows.size());
            Hit* to = good.data();
            for (size_t i = 0; i < rows.size(); ++i) {
                *to = {scores[i], p.units[rows[i]]};
                to += scores[i] > q.bar;
            }
            good.resize(static_cast<size_t>(to - good.data()));
            q.take(good);
        }

        // Takes from `next` on what the rows hold several times; returns where that of the next term starts.
        const Repeated* add_scores(const Prepared& p, const Present& each, const Repeated* next) {
            const Term& term = search.terms_[each.term];
            for (const Repeated* const end = repeated.data() + repeated.size(); next < end && next->term == &each; ++next) {
                const uint32_t group = next->row / strip_windows;
                const uint64_t bit = uint64_t{1} << next->row % strip_windows;
                if (!(wanted[group] & bit)) continue;
                const size_t row = first_row[group] + ones(wanted[group] & (bit - 1));
                const double s = p.saturation[p.length_of[rows[row]]], tf = next->count;
                scores[row] += term.count * (search.idf_[term.place] * tf / (tf + s));
                each.held[group] &= ~bit;  // not once more below
            }
            wide.score(scores.data(), divisor.data(), each.held, wanted.data(), wanted.size(), search.idf_[term.place],
                       term.count);
            return next;
        }

        const Search& search;
        size_t strips = 0;              // of the block, those in which the bar can be reached: the first
        float scale = 0;                // of the sums
        std::vector<Weighed> weighed;    // terms
        std::vector<uint8_t> sums;       // of each window: at least what its units' terms weigh together
        std::vector<uint8_t> least;      // of each strip: what the sum must reach
        std::vector<uint64_t> live;      // which windows do
        std::vector<uint64_t> done;      // which were looked at already
        std::vector<uint32_t> numbered;  // how many are live before each strip
        std::vector<uint32_t> lively;    // the strips with any
        uint32_t count = 0;              // how many are
        std::vector<uint16_t> alive;     // these
        std::vector<uint32_t> bit_of;    // where the bit of each is
        std::vector<uint32_t> chosen;    // some of them, or of a term's postings, by number
        std::vector<uint64_t> held;      // for each term and live window: the rows that hold it, as bits, eight windows together
        std::vector<uint8_t> row_sums;   // as the sums, of the rows of live windows
        std::vector<uint8_t> group_least;  // of eight live windows: what these must reach
        std::vector<uint64_t> wanted;    // which do
        std::vector<uint32_t> some;      // groups with any
        std::vector<Repeated> repeated;  // by term
        std::vector<uint32_t> rows, first_row;  // the wanted ones, and where those of each eight windows start
        std::vector<double> divisor, scores;    // of these
        std::vector<Hit> good;                  // those above the bar
        std::vector<Present> present, coming;  // the terms of this query, and of the next one
        double most = 0, coming_most = 0;      // what a unit that holds them all would weigh
    };

    std::vector<double> idf_;
    double k1_, b_, mean_length_;
    size_t threads_;
    std::vector<Term> terms_;  // of each query, the most frequent first
    std::vector<Query> queries_;
    std::vector<HeldTerm> held_;  // by a shard
    std::vector<Prepared> prepared_;
    std::vector<Worker> workers_;
};

// Room for the hits of a query, used again for the next.
struct Room {
    std::vector<Hit> hits, spread;
    std::vector<uint32_t> ends;
};

// Puts the k best of some hits in order. Few have the same score: so they are spread by score over as many places as
// there are hits, and the few that come to the same place are sorted, as far as they are wanted.
void sort_best(Room& room, size_t k) {
    auto& [hits, spread, ends] = room;
    const size_t size = hits.size();
    const auto [best, worst] = std::minmax_element(hits.begin(), hits.end());
    if (size < 32 || best->score == worst->score) {
        std::sort(hits.begin(), hits.end());
        return;
    }
    const double top = best->score, share = static_cast<double>(size - 1) / (top - worst->score);
    auto place = [&](const Hit& hit) { return static_cast<size_t>((top - hit.score) * share); };
    ends.assign(size, 0);
    for (const Hit& hit : hits) ++ends[place(hit)];
    uint32_t sum = 0;
    for (uint32_t& end : ends) sum += std::exchange(end, sum);
    spread.resize(size);
    for (const Hit& hit : hits) spread[ends[place(hit)]++] = hit;
    hits.swap(spread);
    const auto start = hits.begin();
    for (size_t i = 0, first = 0; first < std::min(k, size); first = ends[i++])
        if (ends[i] - first > 1) std::sort(start + first, start + ends[i]);
}

// The k best of the hits that were found for each query in several places; filled up to k with -1 and -inf if asked.
AllHits merge(const In<uint32_t>& k, const std::vector<std::tuple<In<uint64_t>, In<int64_t>, In<double>>>& parts,
            bool filled, size_t threads) {
    for (const auto& [starts, units, scores] : parts)
        if (starts.size() != k.size() + 1 || units.size() != scores.size() || starts(k.size()) != units.size())
            throw std::invalid_argument("hits whose parts do not fit each other");
    const Hit nothing{-std::numeric_limits<double>::infinity(), -1};
    std::vector<uint64_t> ends{0};
    std::unique_ptr<int64_t[]> all_units;
    std::unique_ptr<double[]> all_scores;
    {
        nb::gil_scoped_release release;
        ends.reserve(k.size() + 1);
        for (size_t q = 0; q < k.size(); ++q) {
            uint64_t there = 0;
            for (const auto& part : parts) there += std::get<0>(part)(q + 1) - std::get<0>(part)(q);
            ends.push_back(ends.back() + (filled ? k(q) : std::min<uint64_t>(there, k(q))));
        }
        all_units.reset(new int64_t[ends.back()]);
        all_scores.reset(new double[ends.back()]);
        in_shares(threads, k.size(), [&](size_t first, size_t last, size_t) {
            Room room;
            for (size_t q = first; q < last; ++q) {
                room.hits.clear();
                for (const auto& [starts, units, scores] : parts) {
                    const int64_t* const unit = units.data();
                    const double* const score = scores.data();
                    for (size_t i = starts(q), end = starts(q + 1); i < end; ++i)
                        room.hits.push_back({score[i], unit[i]});
                }
                if (!room.hits.empty()) sort_best(room, k(q));
                for (size_t i = 0, at = ends[q]; at < ends[q + 1]; ++i, ++at) {
                    const Hit hit = i < room.hits.size() ? room.hits[i] : nothing;
                    all_units[at] = hit.unit;
                    all_scores[at] = hit.score;
                }
            }
        });
    }
    const size_t size = ends.back();
    return {give(std::move(ends)), give(std::move(all_units), size), give(std::move(all_scores), size)};
}

// The first of rising texts, from one on, that is not below a text; found in growing steps, as most are passed over.
size_t seek(const Texts& texts, size_t first, std::string_view text) {
    size_t step = 1;
    while (first + step <= texts.size && texts[first + step - 1] < text) {
        first += step;
        step *= 2;
    }
    for (size_t end = std::min(first + step - 1, texts.size); first < end;) {
        const size_t middle = first + (end - first) / 2;
        if (texts[middle] < text)
            first = middle + 1;
        else
            end = middle;
    }
    return first;
}

// Where each of the texts stands among others, or -1; both rise by bytes.
Out<int32_t> look_up(const In<int32_t>& offsets, const In<uint8_t>& data, const In<int32_t>& other_offsets,
                     const In<uint8_t>& other_data) {
    const Texts texts(offsets, data), others(other_offsets, other_data);
    std::vector<int32_t> places(texts.size, -1);
    for (size_t i = 0, j = 0; i < texts.size && j < others.size;) {
        j = seek(others, j, texts[i]);
        if (j == others.size) break;
        if (others[j] == texts[i]) places[i] = static_cast<int32_t>(j);
        i = others[j] == texts[i] ? i + 1 : seek(texts, i + 1, others[j]);
    }
    return give(std::move(places));
}

}  // namespace

void bind_search(nb::module_& module) {
    nb::class_<Block>(module, "Block")
        .def("__init__", [](Block* block, In<int64_t> units, In<uint32_t> lengths, In<uint32_t> length_ends,
                            In<uint32_t> rare_ends, In<uint16_t> rare_windows, In<uint8_t> rare_rows,
                            In<uint32_t> frequent_terms, In<uint32_t> frequent_ends,
                            In<uint64_t> windows, In<uint8_t> frequent_rows,
                            In<uint32_t> repeat_terms, In<uint32_t> repeat_ends, In<uint32_t> repeat_rows,
                            In<uint32_t> repeat_counts) {
            new (block) Block{units,          lengths,        length_ends,   rare_ends,  rare_windows,
                              rare_rows,      frequent_terms, frequent_ends, windows,
                              frequent_rows,  repeat_terms,   repeat_ends,   repeat_rows, repeat_counts};
        });
    nb::class_<Search>(module, "Search")
        .def(nb::init<const In<uint64_t>&, const In<uint32_t>&, const In<uint32_t>&, const In<double>&,
                      const In<uint32_t>&, const In<double>&, double, double, double, size_t>(),
             nb::arg("starts"), nb::arg("places"), nb::arg("counts"), nb::arg("idf"), nb::arg("k"), nb::arg("bars"),
             nb::arg("k1"), nb::arg("b"), nb::arg("mean_length"), nb::arg("threads"))
        .def("add", &Search::add, nb::arg("blocks"), nb::arg("ids"))
        .def("hits", &Search::hits);
    module.def("instructions", &instructions);
    module.def("use_instructions", &use_instructions, nb::arg("name"));
    module.def("look_up", &look_up, nb::arg("offsets"), nb::arg("data"), nb::arg("other_offsets"), nb::arg("other_data"));
    module.def("merge", &merge, nb::arg("k"), nb::arg("parts"), nb::arg("filled"), nb::arg("threads"));
}

}  // namespace hornbook
