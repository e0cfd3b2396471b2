// BM25 for many queries at once over blocks of units: hornbook/retrieval/reference.py defines the result.
//
// The rows of a block stand by rising length. For a unit that holds each term once, the score is the sum of their
// weights (count * idf) divided by 1 + s, where s hangs on the length alone; repeating a term adds to that. So what a
// unit's weights must sum up to, to be good enough, rises with its row. Two things follow. A unit can be found without
// looking at the most frequent terms of a query as long as these alone would not be enough for its length: each term is
// followed only up to the row where it could matter. And a unit that repeats no term can be good enough only up to the
// length for which all terms together are.
//
// What is left is checked in three steps, each dearer and rarer: by the sum of the followed terms, by which of the
// others the unit holds, and exactly. Only the last decides, so what is found does not hang on rounding.
#include "search.h"

#include <nanobind/stl/tuple.h>
#include <nanobind/stl/vector.h>

#include <algorithm>
#include <atomic>
#include <cmath>
#include <exception>
#include <limits>
#include <stdexcept>
#include <thread>
#include <utility>

#include "texts.h"

namespace hornbook {
namespace {

constexpr size_t most_rows = 65536;
constexpr size_t frequent_rows = 256;    // from here on a term's rows are held as bits too
constexpr size_t blocks_at_once = 16;    // prepared together: bounds memory
constexpr size_t few = 12;               // candidates of a block: better looked at one by one; tuned, any is right
constexpr double share_of_others = 0.4;  // of what a unit needs, which the others may weigh; tuned, any is right

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

// A block as it lies at rest, see hornbook/corpus/inverted.py.
struct Block {
    In<int64_t> units;
    In<uint32_t> lengths, length_ends, terms, ends;
    In<uint16_t> rows;
    In<uint32_t> repeat_terms, repeat_ends;
    In<uint16_t> repeat_rows;
    In<uint32_t> repeat_counts;
};

// The rows of a term in a block, none where `size` is 0.
struct List {
    uint32_t start = 0, size = 0;            // in the block's rows
    uint32_t repeat_start = 0, repeats = 0;  // in its repeats
    uint32_t bits = none;                    // where it is frequent, which of the bit sets
    static constexpr uint32_t none = UINT32_MAX;
};

// How many of `size` rising values are below `limit`.
inline size_t below(const uint16_t* values, size_t size, uint32_t limit) {
    if (!size) return 0;
    const uint16_t* at = values;
    while (size > 1) {
        const size_t half = size / 2;
        at += at[half - 1] < limit ? half : 0;
        size -= half;
    }
    return static_cast<size_t>(at - values) + (*at < limit);
}

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
            const size_t share = std::max<size_t>(1, std::min<size_t>(2048, queries_.size() / (4 * threads_)));
            std::atomic<uint64_t> postings{0};
            in_parallel(threads_, (queries_.size() + share - 1) / share, [&](size_t i) {
                Worker worker(*this);
                const size_t end = std::min(queries_.size(), (i + 1) * share);
                for (const Prepared& block : prepared)
                    for (size_t q = i * share; q < end; ++q) worker.go_over(block, queries_[q]);
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
        const uint16_t *rows, *repeat_rows;
        const uint32_t* repeat_counts;
        std::vector<List> lists;   // by place of a term
        std::vector<float> extra;  // what a repeat adds, in weights of the term
        std::vector<std::vector<uint64_t>> bits;
        std::vector<double> saturation, divisor;  // of each length: s and 1 + s
        std::vector<uint32_t> length_ends;
        std::vector<uint16_t> length_of;  // of each row, which of the lengths

        bool holds(const List& list, uint16_t row) const {
            if (list.bits != List::none) return bits[list.bits][row / 64] >> row % 64 & 1;
            const size_t at = below(rows + list.start, list.size, row);
            return at < list.size && rows[list.start + at] == row;
        }

        double frequency(const List& list, uint16_t row) const {
            const size_t at = list.repeat_start + below(repeat_rows + list.repeat_start, list.repeats, row);
            return at < list.repeat_start + list.repeats && repeat_rows[at] == row ? repeat_counts[at] : 1;
        }
    };

    static void check(bool fits) {
        if (!fits) throw std::invalid_argument("a block whose parts do not fit each other");
    }

    void prepare(const Block& block, const In<int32_t>& place_of, Prepared& p) const {
        const size_t rows = block.units.size(), lengths = block.lengths.size();
        check(rows && rows <= most_rows && lengths && block.length_ends.size() == lengths &&
              block.length_ends(lengths - 1) == rows && block.ends.size() == block.terms.size() &&
              block.repeat_ends.size() == block.repeat_terms.size() &&
              block.repeat_counts.size() == block.repeat_rows.size());
        p.units = block.units.data();
        p.rows = block.rows.data();
        p.repeat_rows = block.repeat_rows.data();
        p.repeat_counts = block.repeat_counts.data();
        p.length_ends.assign(block.length_ends.data(), block.length_ends.data() + lengths);
        p.length_of.resize(rows);
        for (size_t g = 0, row = 0; g < lengths; ++g) {
            // As NumPy computes it from left to right.
            p.saturation.push_back(k1_ * (1 - b_ + b_ * block.lengths(g) / mean_length_));
            p.divisor.push_back(1 + p.saturation[g]);
            check(p.length_ends[g] <= rows);
            for (; row < p.length_ends[g]; ++row) p.length_of[row] = static_cast<uint16_t>(g);
        }
        p.lists.resize(idf_.size());
        for (size_t i = 0; i < block.terms.size(); ++i) {
            const uint32_t start = i ? block.ends(i - 1) : 0, end = block.ends(i);
            List* list = of(p, place_of, block.terms(i));
            if (!list) continue;
            check(start < end && end <= block.rows.size() && block.rows(end - 1) < rows);
            list->start = start;
            list->size = end - start;
            if (list->size < frequent_rows) continue;
            list->bits = static_cast<uint32_t>(p.bits.size());
            p.bits.emplace_back((rows + 63) / 64, 0);
            for (size_t j = start; j < end; ++j) p.bits.back()[p.rows[j] / 64] |= uint64_t{1} << p.rows[j] % 64;
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
            }
        }
    }

    static List* of(Prepared& p, const In<int32_t>& place_of, uint32_t id) {
        check(id < place_of.size());
        const int32_t place = place_of(id);
        return place < 0 ? nullptr : &p.lists.at(static_cast<size_t>(place));
    }

    // A term of a query that stands in a block.
    struct Present {
        List list;
        float weight;
        float before;       // the weights of those before it together
        uint32_t followed;  // how many of its rows are, the first
        uint32_t term;      // which of all
    };

    // What one thread needs to go over a block with a query.
    struct Worker {
        explicit Worker(const Search& all) : search(all), sums(most_rows), marked(most_rows / 64), place(most_rows) {}

        void go_over(const Prepared& p, Query& q) {
            present.clear();
            double all = 0;
            for (size_t i = q.first; i < q.last; ++i) {
                const Term& term = search.terms_[i];
                const List& list = p.lists[term.place];
                if (!list.size) continue;
                present.push_back({list, static_cast<float>(term.weight), 0, 0, static_cast<uint32_t>(i)});
                all += term.weight;
                postings += list.size;
            }
            if (present.empty()) return;
            // More than the sums of floats can be wrong by.
            const double slack = 1e-6 * static_cast<double>(present.size() + 8);
            limit_terms(p, q, all, slack);
            sum_up(p);
            if (q.bar == 0 && raise_from_sums(p, q)) {
                for (size_t g = 0; g < p.divisor.size(); ++g) need[g] = static_cast<float>(q.bar * p.divisor[g] * (1 - slack));
            }
            collect_all(p);
            if (count > few) return look_at_all(p, q);
            for (size_t i = 0; i < count; ++i) {
                const uint16_t row = found[i].row, length = p.length_of[row];
                // Looks for the terms that were not followed, the dearest first, until it is clear.
                const double least = q.bar * p.divisor[length] * (1 - slack) - slack * all;
                size_t left = others[length];
                double most = found[i].sum + (left < present.size() ? present[left].before : all);
                while (left && most >= least) {
                    const Present& term = present[--left];
                    if (!p.holds(term.list, row)) most -= term.weight;
                }
                if (most < least) continue;
                const double score = score_of(p, q, row, p.saturation[length]);
                if (score > q.bar) q.take({score, p.units[row]});
            }
        }

        // Says how far each term is followed, and for each length, which terms are others, that is not followed there,
        // and what the sum of those that are must reach.
        void limit_terms(const Prepared& p, const Query& q, double all, double slack) {
            const size_t lengths = p.divisor.size();
            need.resize(lengths);
            others.resize(lengths);
            double before = 0;
            size_t g = 0;
            auto next_length = [&](size_t left_out) {
                const double whole = q.bar * p.divisor[g];
                need[g] = static_cast<float>(std::max(whole - before - slack * (whole + all), 1e-30));
                others[g] = static_cast<uint32_t>(left_out);
                ++g;
            };
            for (size_t i = 0; i < present.size(); ++i) {
                const double with = before + present[i].weight;
                while (g < lengths && p.divisor[g] * q.bar * share_of_others <= with) next_length(i);
                const List& list = present[i].list;
                const uint32_t limit = g ? p.length_ends[g - 1] : 0;
                present[i].followed = static_cast<uint32_t>(below(p.rows + list.start, list.size, limit));
                present[i].before = static_cast<float>(before);
                before = with;
            }
            while (g < lengths) next_length(present.size());
        }

        void sum_up(const Prepared& p) {
            float* const to = sums.data();
            for (const Present& term : present) {
                const uint16_t* at = p.rows + term.list.start;
                const uint16_t* end = at + term.followed;
                for (const float weight = term.weight; at < end; ++at) to[*at] += weight;
                for (uint32_t i = term.list.repeat_start; i < term.list.repeat_start + term.list.repeats; ++i)
                    to[p.repeat_rows[i]] += term.weight * p.extra[i];
            }
        }

        void collect_all(const Prepared& p) {
            count = 0;
            for (const Present& term : present) {
                collect(p, p.rows + term.list.start, term.followed);
                collect(p, p.repeat_rows + term.list.repeat_start, term.list.repeats);
            }
        }

        // Takes the rows whose sums are good enough out, and leaves their sums at 0, so that none is taken twice.
        void collect(const Prepared& p, const uint16_t* rows, size_t size) {
            if (found.size() < count + size + 1) found.resize(2 * (count + size) + 1);
            float* const of = sums.data();
            const float* const least = need.data();
            const uint16_t* const length = p.length_of.data();
            Candidate* to = found.data() + count;
            for (size_t i = 0; i < size; ++i) {
                const uint16_t row = rows[i];
                const float sum = of[row];
                of[row] = 0;
                *to = {row, sum};
                to += sum >= least[length[row]];
            }
            count = static_cast<size_t>(to - found.data());
        }

        // Raises the bar of a query that has none yet, and so follows all terms, to what enough rows are sure to reach;
        // the shortest will do. Says whether there are enough.
        bool raise_from_sums(const Prepared& p, Query& q) {
            if (q.hits.size() >= q.k) return false;
            const size_t wanted = q.k - q.hits.size();
            sure.clear();
            for (uint32_t row = 0, g = 0; g < p.divisor.size() && sure.size() < 4 * wanted + 64; ++g) {
                // Less than sums of floats can be right by, and no more than a repeat's share is counted.
                for (const double divisor = p.divisor[g] * (1 + 1e-4); row < p.length_ends[g]; ++row)
                    if (sums[row] > 0) sure.push_back(sums[row] / divisor);
            }
            if (sure.size() < wanted) return false;
            const auto kth = sure.begin() + static_cast<std::ptrdiff_t>(wanted - 1);
            std::nth_element(sure.begin(), kth, sure.end(), std::greater<double>());
            double score = *kth;
            for (const Hit& hit : q.hits) score = std::min(score, hit.score);
            q.raise(score);
            return true;
        }

        // In the order of the reference, so that equal units have equal scores to the last bit.
        double score_of(const Prepared& p, const Query& q, uint16_t row, double saturation) {
            parts.assign(q.last - q.first, 0.0);
            for (const Present& each : present) {
                if (!p.holds(each.list, row)) continue;
                const Term& term = search.terms_[each.term];
                parts[term.rank] = search.part(term, p.frequency(each.list, row), saturation);
            }
            double score = 0;
            for (const double part : parts) score += part;
            return score;
        }

        // Scores all candidates, going over the terms once, in the order of the reference.
        void look_at_all(const Prepared& p, Query& q) {
            scores.assign(count, 0.0);
            frequency.assign(count, 1.0);
            uint32_t last = 0;
            for (size_t i = 0; i < count; ++i) {
                const uint16_t row = found[i].row;
                marked[row / 64] |= uint64_t{1} << row % 64;
                place[row] = static_cast<uint16_t>(i);
                last = std::max<uint32_t>(last, row);
            }
            order.assign(q.last - q.first, nullptr);
            for (const Present& each : present) order[search.terms_[each.term].rank] = &each;
            for (const Present* each : order) {
                if (!each) continue;
                const List& list = each->list;
                const Term& term = search.terms_[each->term];
                for (uint32_t i = list.repeat_start; i < list.repeat_start + list.repeats; ++i)
                    if (is_marked(p.repeat_rows[i])) frequency[place[p.repeat_rows[i]]] = p.repeat_counts[i];
                auto add = [&](size_t at, uint16_t row) {
                    scores[at] += search.part(term, frequency[at], p.saturation[p.length_of[row]]);
                    frequency[at] = 1;
                };
                if (list.bits != List::none) {
                    const uint64_t* const bits = p.bits[list.bits].data();
                    for (size_t i = 0; i < count; ++i) {
                        const uint16_t row = found[i].row;
                        if (bits[row / 64] >> row % 64 & 1) add(i, row);
                    }
                } else {
                    const uint16_t* const rows = p.rows + list.start;
                    for (uint32_t i = 0; i < list.size && rows[i] <= last; ++i)
                        if (is_marked(rows[i])) add(place[rows[i]], rows[i]);
                }
            }
            for (size_t i = 0; i < count; ++i) {
                const uint16_t row = found[i].row;
                marked[row / 64] = 0;
                if (scores[i] > q.bar) q.take({scores[i], p.units[row]});
            }
        }

        bool is_marked(uint16_t row) const { return marked[row / 64] >> row % 64 & 1; }

        struct Candidate {
            uint16_t row;
            float sum;
        };

        const Search& search;
        uint64_t postings = 0;
        std::vector<float> sums;  // of each row, what the followed terms that it holds weigh; 0 between two queries
        std::vector<float> need;
        std::vector<uint32_t> others;
        std::vector<Present> present;
        std::vector<Candidate> found;
        size_t count = 0;  // of those found
        std::vector<uint64_t> marked;  // the candidates among the rows, and which candidate each is
        std::vector<uint16_t> place;
        std::vector<const Present*> order;
        std::vector<double> sure, parts, scores, frequency;
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

// Leaves the k best of some hits, in order. Few have the same score: so they are spread by score over as many places as
// there are hits, and the few that come to the same place are sorted, as far as they are wanted.
void keep_best(std::vector<Hit>& hits, size_t k) {
    const size_t size = hits.size();
    const auto [best, worst] = std::minmax_element(hits.begin(), hits.end());
    if (size < 32 || best->score == worst->score) {
        std::sort(hits.begin(), hits.end());
    } else {
        const double top = best->score, share = static_cast<double>(size - 1) / (top - worst->score);
        auto place = [&](const Hit& hit) { return static_cast<size_t>((top - hit.score) * share); };
        std::vector<uint32_t> ends(size, 0);
        for (const Hit& hit : hits) ++ends[place(hit)];
        uint32_t sum = 0;
        for (uint32_t& end : ends) sum += std::exchange(end, sum);
        std::vector<Hit> spread(size);
        for (const Hit& hit : hits) spread[ends[place(hit)]++] = hit;
        hits.swap(spread);
        const auto start = hits.begin();
        for (size_t i = 0, first = 0; first < std::min(k, size); first = ends[i++]) std::sort(start + first, start + ends[i]);
    }
    if (size > k) hits.resize(k);
}

// The k best of the hits that were found for each query in several places.
Found merge(const In<uint32_t>& k, const std::vector<std::tuple<In<uint64_t>, In<int64_t>, In<double>>>& parts,
            size_t threads) {
    for (const auto& [starts, units, scores] : parts)
        if (starts.size() != k.size() + 1 || units.size() != scores.size() || starts(k.size()) != units.size())
            throw std::invalid_argument("hits whose parts do not fit each other");
    std::vector<std::vector<Hit>> found(k.size());
    {
        nb::gil_scoped_release release;
        in_parallel(threads, k.size(), [&](size_t q) {
            std::vector<Hit>& hits = found[q];
            size_t all = 0;
            for (const auto& part : parts) all += std::get<0>(part)(q + 1) - std::get<0>(part)(q);
            hits.reserve(all);
            for (const auto& [starts, units, scores] : parts)
                for (size_t i = starts(q); i < starts(q + 1); ++i) hits.push_back({scores(i), units(i)});
            keep_best(hits, k(q));
        });
    }
    return give_all(found);
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
                            In<uint32_t> terms, In<uint32_t> ends, In<uint16_t> rows, In<uint32_t> repeat_terms,
                            In<uint32_t> repeat_ends, In<uint16_t> repeat_rows, In<uint32_t> repeat_counts) {
            new (block) Block{units, lengths,      length_ends, terms,       ends,
                              rows,  repeat_terms, repeat_ends, repeat_rows, repeat_counts};
        });
    nb::class_<Search>(module, "Search")
        .def(nb::init<const In<uint64_t>&, const In<uint32_t>&, const In<uint32_t>&, const In<double>&,
                      const In<uint32_t>&, const In<double>&, double, double, double, size_t>(),
             nb::arg("starts"), nb::arg("places"), nb::arg("counts"), nb::arg("idf"), nb::arg("k"), nb::arg("bars"),
             nb::arg("k1"), nb::arg("b"), nb::arg("mean_length"), nb::arg("threads"))
        .def("add", &Search::add, nb::arg("blocks"), nb::arg("place_of"))
        .def("hits", &Search::hits)
        .def_prop_ro("postings", &Search::postings);
    module.def("look_up", &look_up, nb::arg("offsets"), nb::arg("data"), nb::arg("other_offsets"), nb::arg("other_data"));
    module.def("merge", &merge, nb::arg("k"), nb::arg("parts"), nb::arg("threads"));
}

}  // namespace hornbook
