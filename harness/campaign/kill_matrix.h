// What a catalogue of mutants proves as a whole: which rule caught which of them, and how soon.
#ifndef COUNTERPART_CAMPAIGN_KILL_MATRIX_H_
#define COUNTERPART_CAMPAIGN_KILL_MATRIX_H_

#include <cstddef>
#include <cstdint>
#include <map>
#include <string>
#include <vector>

namespace counterpart::campaign {

// One mutant that was red.
struct Kill {
  std::string mutant;                           // as it is told
  std::vector<std::string> own;                 // the rules that may name it
  std::string first;                            // the rule that the first red run named
  uint32_t runs = 0;                            // to that one, itself included
  std::map<std::string, uint32_t> red_by_rule;  // runs that each rule named; "": none was named
};

class KillMatrix {
 public:
  void Add(Kill kill);

  size_t killed() const { return kills_.size(); }
  // Of those, how many the first red run named a rule of their own for.
  size_t attributed() const;
  // Rules, sorted, that caught mutants, and none of them alone: what each of those broke was seen
  // under another rule as well, or under this one by the way.  "": red runs that named none.
  std::vector<std::string> NeverAlone() const;
  // One sentence, a second one of NeverAlone if there are any; none killed: empty.
  std::string Summary() const;
  // By rule: the mutants that it alone caught, and the others that it caught.
  std::string Markdown() const;

 private:
  std::vector<Kill> kills_;
};

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_KILL_MATRIX_H_
