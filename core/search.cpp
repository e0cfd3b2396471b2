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
#include <limits>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include "texts.h"
#include "wide.h"

namespace hornbook {
namespace {

constexpr size_t blocks_at_once = 16;  // prepared together: bounds memory
constexpr size_t worth_a_bar = 8;      // times the windows that give one; tuned, any is right
using Rows = uint8_t;  // of a window, as bits

inline uint32_t ones(uint64_t bits) { return static_cast<uint32_t>(__builtin_popcountll(bits)); }
inline uint32_t first_one(uint64_t bits) { return static_cast<uint32_t>(__builtin_ctzll(bits)); }

template <class Task>
void in_parallel(size_t threads, size_t count, Task task) {
    std::atomic<size_t> next{0};
    std::exception_ptr wrong;
    std::atomic<bool> failed{false};
    auto work = [&] {
        try {
            for (size_t i; !failed && (i = next++) < count;) task(i);
        } catch (...) {
            if (!failed.exchange(true)) wrong = std::current_exception();
        }
    };
    std::vector<std::thread> others;
    for (size_t i = 1; i < std::min(threads, count); ++i) others.emplace_back(work);
    work();
    for (std::thread& other : others) other.join();
    if (wrong) std::rethrow_exception(wrong);
}

// The same for neighbours of `count` in turn: task(first, last).
template <class Task>
void in_shares(size_t threads, size_t count, Task task) {
    const size_t share = std::max<size_t>(1, std::min<size_t>(2048, count / (4 * threads)));
    in_parallel(threads, (count + share - 1) / share,
                [&](size_t i) { task(i * share, std::min(count, (i + 1) * share)); });
}

// A block as it lies at rest, see hornbook/corpus/inverted.py.
struct Block {
    In<int64_t> units;
    In<uint32_t> lengths, length_ends;
    In<uint32_t> rare_terms, rare_ends, rare_rows;
    In<uint32_t> frequent_terms, frequent_units;
    In<uint64_t> windows;
    In<uint32_t> before;
    In<uint8_t> window_rows;
    In<uint32_t> repeat_terms, repeat_ends, repeat_rows, repeat_counts;
};

// Where a term stands in a block, nowhere where `size` is 0.
struct List {
    uint32_t size = 0;
    uint32_t start = 0;  // in the rows of rare terms, or in the windows
    uint32_t repeat_start = 0, repeats = 0;
    bool frequent = false;
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
    uint32_t rank;  // in the order in which a score is summed
    double weight;
};

struct Query {
    size_t first, last;  // of its terms
    size_t k;
    double bar;  // a hit's score must be above it
    std::vector<Hit> hits;

    void take(const Hit& hit) {
        hits.push_back(hit);
        if (hits.size() >= (k < 16 ? k + 16 : 2 * k)) settle();
    }

    void settle() {
        if (hits.size() < k) return;
        if (hits.size() > k) {
            std::nth_element(hits.begin(), hits.begin() + static_cast<std::ptrdiff_t>(k - 1), hits.end());
            hits.resize(k);
        }
        raise(std::max_element(hits.begin(), hits.end())->score);
    }

    // At least k units reach this score; another one that does, too, may have a lower id.
    void raise(double score) {
        bar = std::max(bar, std::nextafter(score, 0.0));
    }
};

using Found = std::tuple<Out<uint64_t>, Out<int64_t>, Out<double>>;

// Hands over the hits of queries one after another, and where those of each start.
Found give_all(std::vector<std::vector<Hit>>& queries) {
    std::vector<uint64_t> starts{0};
    std::vector<int64_t> units;
    std::vector<double> scores;
    {
        nb::gil_scoped_release release;
        size_t all = 0;
        for (const std::vector<Hit>& hits : queries) all += hits.size();
        starts.reserve(queries.size() + 1);
        units.reserve(all);
        scores.reserve(all);
        for (std::vector<Hit>& hits : queries) {
            for (const Hit& hit : hits) {
                units.push_back(hit.unit);
                scores.push_back(hit.score);
            }
            starts.push_back(units.size());
            std::vector<Hit>().swap(hits);
        }
    }
    return {give(std::move(starts)), give(std::move(units)), give(std::move(scores))};
}

class Search {
  public:
    Search(const In<uint64_t>& starts, const In<uint32_t>& places, const In<uint32_t>& counts, const In<double>& idf,
           const In<uint32_t>& k, const In<double>& bars, double k1, double b, double mean_length, size_t threads)
        : idf_(idf.data(), idf.data() + idf.size()), k1_(k1), b_(b), mean_length_(mean_length), threads_(threads) {
        if (starts.size() != k.size() + 1 || bars.size() != k.size() || places.size() != counts.size() ||
            starts(0) != 0 || starts(k.size()) != places.size() || !threads)
            throw std::invalid_argument("queries whose parts do not fit each other");
        for (size_t i = 0; i < k.size(); ++i) {
            if (!k(i) || starts(i) > starts(i + 1)) throw std::invalid_argument("queries whose parts do not fit each other");
            queries_.push_back({starts(i), starts(i + 1), k(i), std::nextafter(bars(i), 0.0), {}});
            for (size_t at = starts(i); at < starts(i + 1); ++at) {
                if (places(at) >= idf_.size()) throw std::invalid_argument("a term without an idf");
                const double weight = counts(at) * idf_[places(at)];
                terms_.push_back({places(at), counts(at), static_cast<uint32_t>(at - starts(i)), weight});
            }
            std::sort(terms_.begin() + static_cast<std::ptrdiff_t>(starts(i)), terms_.end(), [&](const Term& x, const Term& y) {
                return idf_[x.place] != idf_[y.place] ? idf_[x.place] < idf_[y.place] : x.rank < y.rank;
            });
        }
    }

    // Goes over blocks of a shard. place_of[id] is where the shard's term stands among the terms of
    // the queries, or below 0.
    void add(const std::vector<Block>& blocks, const In<int32_t>& place_of) {
        nb::gil_scoped_release release;
        for (size_t first = 0; first < blocks.size(); first += blocks_at_once) {
            std::vector<Prepared> prepared(std::min(blocks_at_once, blocks.size() - first));
            in_parallel(threads_, prepared.size(), [&](size_t i) { prepare(blocks[first + i], place_of, prepared[i]); });
            std::atomic<uint64_t> postings{0};
            in_shares(threads_, queries_.size(), [&](size_t from, size_t to) {
                Worker worker(*this);
                for (const Prepared& block : prepared)
                    for (size_t q = from; q < to; ++q) worker.go_over(block, queries_[q]);
                postings += worker.postings;
            });
            postings_ += postings;
        }
    }

    // The hits of all queries one after another, in no order, and where those of each start.
    Found hits() {
        std::vector<std::vector<Hit>> found(queries_.size());
        {
            nb::gil_scoped_release release;
            in_parallel(threads_, queries_.size(), [&](size_t i) {
                queries_[i].settle();
                found[i].swap(queries_[i].hits);
            });
        }
        return give_all(found);
    }

    // How many rows the terms of the queries have in the blocks so far.
    uint64_t postings() const { return postings_; }

  private:
    // A block with what all queries need of it.
    struct Prepared {
        const int64_t* units;
        const uint32_t *rare_rows, *repeat_rows, *repeat_counts;
        const uint64_t* windows;
        const uint32_t* before;
        const Rows* window_rows;
        size_t strips;
        std::vector<List> lists;       // by place of a term
        std::vector<float> extra;      // what a repeat adds, in weights of the term
        std::vector<double> saturation, divisor;  // of each length: s and 1 + s
        std::vector<uint16_t> length_of;          // of each row, which of the lengths
        std::vector<float> strip_divisor;         // of the first, shortest row of each strip
        std::vector<double> strip_saturation;     // of all its rows, -1 where they differ

        // Asks memory for what is read first.
        void fetch(const List& list) const {
            if (list.frequent) {
                __builtin_prefetch(windows + list.start);
            } else {
                __builtin_prefetch(rare_rows + list.start);
                __builtin_prefetch(rare_rows + list.start + 16);
            }
            if (!list.repeats) return;
            __builtin_prefetch(repeat_rows + list.repeat_start);
            __builtin_prefetch(extra.data() + list.repeat_start);
        }

        Windows windows_of(const List& list) const {
            return {windows + list.start, before + list.start, window_rows};
        }
    };

    static void check(bool fits) {
        if (!fits) throw std::invalid_argument("a block whose parts do not fit each other");
    }

    void prepare(const Block& block, const In<int32_t>& place_of, Prepared& p) const {
        const size_t rows = block.units.size(), lengths = block.lengths.size();
        const size_t strips = p.strips = (rows + window * strip - 1) / (window * strip);
        check(rows && rows <= UINT32_MAX && lengths && lengths <= UINT16_MAX &&
              block.length_ends.size() == lengths && block.length_ends(lengths - 1) == rows &&
              block.rare_ends.size() == block.rare_terms.size() &&
              block.frequent_units.size() == block.frequent_terms.size() &&
              block.windows.size() == strips * block.frequent_terms.size() &&
              block.before.size() == block.windows.size() &&
              block.repeat_ends.size() == block.repeat_terms.size() &&
              block.repeat_counts.size() == block.repeat_rows.size());
        p.units = block.units.data();
        p.rare_rows = block.rare_rows.data();
        p.repeat_rows = block.repeat_rows.data();
        p.repeat_counts = block.repeat_counts.data();
        p.windows = block.windows.data();
        p.before = block.before.data();
        p.window_rows = block.window_rows.data();
        p.length_of.resize(rows);
        for (size_t g = 0, row = 0; g < lengths; ++g) {
            // As NumPy computes it from left to right.
            p.saturation.push_back(k1_ * (1 - b_ + b_ * block.lengths(g) / mean_length_));
            p.divisor.push_back(1 + p.saturation[g]);
            check(block.length_ends(g) <= rows);
            for (; row < block.length_ends(g); ++row) p.length_of[row] = static_cast<uint16_t>(g);
        }
        for (size_t s = 0; s < strips; ++s)
            add_strip(p, s * strip * window, std::min(rows, (s + 1) * strip * window) - 1);
        p.lists.resize(idf_.size());
        for (size_t i = 0; i < block.rare_terms.size(); ++i) {
            const uint32_t start = i ? block.rare_ends(i - 1) : 0, end = block.rare_ends(i);
            List* list = of(p, place_of, block.rare_terms(i));
            if (!list) continue;
            check(start < end && end <= block.rare_rows.size() && block.rare_rows(end - 1) < rows);
            list->start = start;
            list->size = end - start;
        }
        for (size_t i = 0; i < block.frequent_terms.size(); ++i) {
            List* list = of(p, place_of, block.frequent_terms(i));
            if (!list) continue;
            list->start = static_cast<uint32_t>(i * strips);
            list->size = block.frequent_units(i);
            list->frequent = true;
            const size_t last = list->start + strips - 1;
            check(list->size && block.before(last) + ones(block.windows(last)) <= block.window_rows.size());
        }
        p.extra.resize(block.repeat_rows.size());
        for (size_t i = 0; i < block.repeat_terms.size(); ++i) {
            const uint32_t start = i ? block.repeat_ends(i - 1) : 0, end = block.repeat_ends(i);
            List* list = of(p, place_of, block.repeat_terms(i));
            if (!list) continue;
            check(start < end && end <= block.repeat_rows.size() && block.repeat_rows(end - 1) < rows && list->size);
            list->repeat_start = start;
            list->repeats = end - start;
            for (uint32_t j = start; j < end; ++j) {
                const double s = p.saturation[p.length_of[block.repeat_rows(j)]], tf = block.repeat_counts(j);
                // tf / (tf + s) is that much more, in weights over 1 + s, than 1 / (1 + s).
                p.extra[j] = static_cast<float>(s * (tf - 1) / (tf + s));
                list->most_extra = std::max(list->most_extra, p.extra[j]);
            }
        }
    }

    static void add_strip(Prepared& p, size_t first, size_t last) {
        const uint16_t length = p.length_of[first];
        p.strip_divisor.push_back(static_cast<float>(p.divisor[length]));
        p.strip_saturation.push_back(p.length_of[last] == length ? p.saturation[length] : -1);
    }

    static List* of(Prepared& p, const In<int32_t>& place_of, uint32_t id) {
        check(id < place_of.size());
        const int32_t place = place_of(id);
        return place < 0 ? nullptr : &p.lists.at(static_cast<size_t>(place));
    }

    // A term of a query that stands in a block.
    struct Present {
        List list;
        double weight;
        uint32_t term;  // which of all
        size_t held_end = 0, repeats_end = 0;
    };

    // What one thread needs to go over a block with a query.
    struct Worker {
        explicit Worker(const Search& all) : search(all) {}

        void go_over(const Prepared& p, Query& q) {
            if (q.hits.size() > q.k + q.k / 8) q.settle();
            present.clear();
            double most = 0;
            for (size_t i = q.first; i < q.last; ++i) {
                const Term& term = search.terms_[i];
                const List& list = p.lists[term.place];
                if (!list.size) continue;
                present.push_back({list, term.weight, static_cast<uint32_t>(i)});
                most += term.weight * (1 + list.most_extra);
                postings += list.size;
                p.fetch(list);
            }
            if (present.empty()) return;
            least.resize(p.strips);
            live.resize(p.strips);
            before.resize(p.strips);
            if (!limit(p, q.bar, most)) return;
            sum_up(p);
            std::fill(live.begin() + static_cast<std::ptrdiff_t>(strips), live.end(), 0);
            find_live();
            if (count > worth_a_bar * first_windows(q))
                best_first(p, q, most);
            else
                look_at_live(p, q);
        }

        // How many windows are looked at first where a bar is sought: so many hold k good hits mostly.
        static size_t first_windows(const Query& q) { return 2 * q.k + 4; }

        // Says what the sum of a window must reach, strip by strip, and in how many it can.
        bool limit(const Prepared& p, double bar, double most) {
            // Less than what rounding can add.
            const float need = static_cast<float>(bar * (1 - 1e-6)), all = static_cast<float>(most * (1 + 1e-6));
            for (strips = 0; strips < p.strips && need * p.strip_divisor[strips] <= all;) ++strips;
            if (!strips) return false;
            scale = 255 / (need > 0 ? need * p.strip_divisor[strips - 1] : all);
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

        void sum_up(const Prepared& p) {
            // Of the strips behind those that are looked at the sums mean nothing.
            sums.resize(p.strips * strip);
            uint8_t* const to = sums.data();
            std::memset(to, 0, strips * strip);
            frequent.clear();
            for (const Present& term : present) {
                const float weight = static_cast<float>(term.weight) * scale;
                const uint32_t more = up(weight);
                if (term.list.frequent) {
                    frequent.push_back({p.windows_of(term.list), static_cast<uint8_t>(more)});
                } else {
                    const uint32_t* const rows = p.rare_rows + term.list.start;
                    for (uint32_t i = 0, end = term.list.size; i < end; ++i) add(to[rows[i] / window], more);
                }
                const uint32_t* const rows = p.repeat_rows + term.list.repeat_start;
                const float* const extra = p.extra.data() + term.list.repeat_start;
                for (uint32_t i = 0, end = term.list.repeats; i < end; ++i)
                    add(to[rows[i] / window], up(weight * extra[i]));
            }
            wide.add(to, strips, frequent.data(), frequent.size());
        }

        // The next whole number, more than rounding can take away.
        static uint32_t up(float weight) { return static_cast<uint32_t>(std::min(weight * 1.000001f, 254.f)) + 1; }

        static void add(uint8_t& sum, uint32_t more) {
            const uint32_t both = sum + more;
            sum = static_cast<uint8_t>(both < 255 ? both : 255);
        }

        // Finds the windows whose sums are high enough, and counts them.
        void find_live() {
            wide.reach(sums.data(), least.data(), strips, live.data());
            count_live();
        }

        // Where the bar lets many windows through: looks at those first that promise most, which raises it.
        void best_first(const Prepared& p, Query& q, double most) {
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
            for (size_t s = 0; s < strips; ++s) live[s] &= ~done[s];
            count_live();
            look_at_live(p, q);
        }

        void look_at_live(const Prepared& p, Query& q) {
            if (!count) return;
            narrow(p, q);
            look_at(p, q);
        }

        void count_live() {
            lively.resize(strips);
            const uint64_t* const bits = live.data();
            uint32_t *const to = before.data(), *some = lively.data(), all = 0;
            for (uint32_t s = 0, end = static_cast<uint32_t>(strips); s < end; ++s) {
                to[s] = all;
                all += ones(bits[s]);
                *some = s;
                some += bits[s] != 0;
            }
            lively.resize(static_cast<size_t>(some - lively.data()));
            count = all;
        }

        // Which of the live windows a row is in, if it is in one.
        uint32_t slot_of(uint32_t row) const {
            const size_t s = row / window / strip;
            return before[s] + ones(live[s] & ((uint64_t{1} << row / window % strip) - 1));
        }

        // Says which rows of the live windows are good enough by themselves, and which terms they hold.
        void narrow(const Prepared& p, const Query& q) {
            row_sums.assign(count * window, 0);
            wanted.resize(count);
            order.assign(q.last - q.first, nullptr);
            for (Present& each : present) order[search.terms_[each.term].rank] = &each;
            uint8_t* const to = row_sums.data();
            size_t end = 0;
            repeated.clear();
            for (Present* each : order) {
                if (!each) continue;
                const List& list = each->list;
                const float weight = static_cast<float>(each->weight) * scale;
                const uint32_t more = up(weight);
                const uint64_t* const alive = live.data();
                auto is_live = [alive](uint32_t row) {
                    return alive[row / window / strip] >> row / window % strip & 1;
                };
                for (uint32_t i = list.repeat_start, last = i + list.repeats; i < last; ++i) {
                    const uint32_t row = p.repeat_rows[i];
                    if (!is_live(row)) continue;
                    const uint32_t slot = slot_of(row);
                    add(to[slot * window + row % window], up(weight * p.extra[i]));
                    repeated.push_back({slot, i});
                }
                each->repeats_end = repeated.size();
                if (held.size() < end + count + list.size) held.resize(2 * (end + count + list.size));
                if (list.frequent) {
                    const size_t first = end;
                    end = find_held(p.windows_of(list), end);
                    wide.add_rows(to, held.data() + first, held.data() + end, static_cast<uint8_t>(more));
                } else {
                    const uint32_t* const rows = p.rare_rows + list.start;
                    for (uint32_t i = 0, last = list.size; i < last; ++i) {
                        const uint32_t row = rows[i];
                        if (!is_live(row)) continue;
                        const uint32_t slot = slot_of(row);
                        add(to[slot * window + row % window], more);
                        held[end++] = {slot, 1u << row % window};
                    }
                }
                each->held_end = end;
            }
            for (const uint32_t s : lively)
                wide.reach_rows(to + before[s] * window, least[s], ones(live[s]), wanted.data() + before[s]);
        }

        // Writes down from `end` on which rows of the live windows hold a frequent term; returns where that ends.
        size_t find_held(const Windows& term, size_t end) {
            const uint64_t* const alive = live.data();
            const uint32_t* const number = before.data();
            Held* const to = held.data();
            for (const uint32_t s : lively) {
                const uint64_t of = term.bits[s], in = alive[s];
                for (uint64_t left = of & in; left; left &= left - 1) {
                    const uint64_t lower = (left & -left) - 1;
                    to[end++] = {number[s] + ones(in & lower), term.rows[term.before[s] + ones(of & lower)]};
                }
            }
            return end;
        }

        // Scores the wanted rows, going over the terms in the order of the reference, so that equal units have equal
        // scores to the last bit.
        void look_at(const Prepared& p, Query& q) {
            where.resize(count);
            place_of.resize(count);
            uint32_t slot = 0, places = 0;
            for (const uint32_t s : lively)
                for (uint64_t left = live[s]; left; left &= left - 1, ++slot) {
                    const auto row = static_cast<uint32_t>((s * strip + first_one(left)) * window);
                    place_of[slot] = places;
                    where[places] = {slot, row, p.strip_saturation[s]};
                    places += wanted[slot] != 0;
                }
            if (!places) return;
            where.resize(places);
            for (const Place& each : where) __builtin_prefetch(p.units + each.row);
            scores.assign(where.size() * window, 0.0);
            size_t at = 0, repeat = 0;
            for (const Present* each : order) {
                if (!each) continue;
                const Term& term = search.terms_[each->term];
                auto score = [&](uint32_t place, uint32_t i, double tf) {
                    const Place& at = where[place];
                    const double s = at.saturation >= 0 ? at.saturation : p.saturation[p.length_of[at.row + i]];
                    scores[place * window + i] += search.part(term, tf, s);
                };
                for (; repeat < each->repeats_end; ++repeat) {
                    const auto [slot, number] = repeated[repeat];
                    const uint32_t i = p.repeat_rows[number] % window;
                    if (!(wanted[slot] >> i & 1)) continue;
                    score(place_of[slot], i, p.repeat_counts[number]);
                    wanted[slot] ^= static_cast<Rows>(1u << i);  // not once more below
                    again.push_back({slot, i});
                }
                picked.resize(each->held_end - at);
                size_t size = 0;
                for (; at < each->held_end; ++at) {
                    const auto [slot, rows] = held[at];
                    picked[size] = {place_of[slot], rows & wanted[slot]};
                    size += picked[size].rows != 0;
                }
                for (size_t i = 0; i < size; ++i)
                    for (uint32_t left = picked[i].rows; left; left &= left - 1)
                        score(picked[i].chosen, first_one(left), 1);
                for (const auto& [slot, i] : again) wanted[slot] |= static_cast<Rows>(1u << i);
                again.clear();
            }
            for (size_t place = 0; place < where.size(); ++place)
                for (uint32_t left = wanted[where[place].slot]; left; left &= left - 1) {
                    const uint32_t i = first_one(left);
                    const double score = scores[place * window + i];
                    if (score > q.bar) q.take({score, p.units[where[place].row + i]});
                }
        }

        struct Place {
            uint32_t slot, row;
            double saturation;  // of all its rows, -1 where they differ
        };

        const Search& search;
        uint64_t postings = 0;
        size_t strips = 0;              // of the block, those in which the bar can be reached: the first
        float scale = 0;                // of the sums
        std::vector<Weighed> frequent;  // terms of the query
        std::vector<uint8_t> sums;      // of each window: at least what its units' terms weigh together
        std::vector<uint8_t> least;     // of each strip: what the sum must reach
        std::vector<uint64_t> live;     // which windows do
        std::vector<uint64_t> done;     // which were looked at already
        std::vector<uint32_t> before;   // how many are live before each strip
        std::vector<uint32_t> lively;   // the strips with any
        uint32_t count = 0;             // how many are
        std::vector<uint8_t> row_sums;  // as the sums, of their rows
        std::vector<Rows> wanted;       // which of these reach it
        std::vector<Held> held, picked; // which rows hold each term in turn, and which of the wanted ones
        std::vector<std::pair<uint32_t, uint32_t>> repeated, again;  // the live window, and which repeat, or row, it is
        std::vector<Place> where;        // the live windows with wanted rows
        std::vector<uint32_t> place_of;  // of each live window in these
        std::vector<double> scores;      // of their rows
        std::vector<Present> present;
        std::vector<Present*> order;
    };

    // What a term adds to the score of a unit that holds it tf times.
    double part(const Term& term, double tf, double saturation) const {
        return term.count * (idf_[term.place] * tf / (tf + saturation));
    }

    std::vector<double> idf_;
    double k1_, b_, mean_length_;
    size_t threads_;
    std::vector<Term> terms_;  // of each query, the most frequent first
    std::vector<Query> queries_;
    uint64_t postings_ = 0;
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
Found merge(const In<uint32_t>& k, const std::vector<std::tuple<In<uint64_t>, In<int64_t>, In<double>>>& parts,
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
        in_shares(threads, k.size(), [&](size_t first, size_t last) {
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
        i = seek(texts, i, others[j]);
        if (i == texts.size) break;
        j = seek(others, j, texts[i]);
        if (j < others.size && others[j] == texts[i]) places[i++] = static_cast<int32_t>(j++);
    }
    return give(std::move(places));
}

}  // namespace

void bind_search(nb::module_& module) {
    nb::class_<Block>(module, "Block")
        .def("__init__", [](Block* block, In<int64_t> units, In<uint32_t> lengths, In<uint32_t> length_ends,
                            In<uint32_t> rare_terms, In<uint32_t> rare_ends, In<uint32_t> rare_rows,
                            In<uint32_t> frequent_terms, In<uint32_t> frequent_units, In<uint64_t> windows,
                            In<uint32_t> before, In<uint8_t> window_rows, In<uint32_t> repeat_terms,
                            In<uint32_t> repeat_ends, In<uint32_t> repeat_rows, In<uint32_t> repeat_counts) {
            new (block) Block{units,          lengths,        length_ends, rare_terms, rare_ends,
                              rare_rows,      frequent_terms, frequent_units, windows, before,
                              window_rows,    repeat_terms,   repeat_ends, repeat_rows, repeat_counts};
        });
    nb::class_<Search>(module, "Search")
        .def(nb::init<const In<uint64_t>&, const In<uint32_t>&, const In<uint32_t>&, const In<double>&,
                      const In<uint32_t>&, const In<double>&, double, double, double, size_t>(),
             nb::arg("starts"), nb::arg("places"), nb::arg("counts"), nb::arg("idf"), nb::arg("k"), nb::arg("bars"),
             nb::arg("k1"), nb::arg("b"), nb::arg("mean_length"), nb::arg("threads"))
        .def("add", &Search::add, nb::arg("blocks"), nb::arg("place_of"))
        .def("hits", &Search::hits)
        .def_prop_ro("postings", &Search::postings);
    module.def("instructions", &instructions);
    module.def("use_instructions", &use_instructions, nb::arg("name"));
    module.def("look_up", &look_up, nb::arg("offsets"), nb::arg("data"), nb::arg("other_offsets"), nb::arg("other_data"));
    module.def("merge", &merge, nb::arg("k"), nb::arg("parts"), nb::arg("filled"), nb::arg("threads"));
}

}  // namespace hornbook
