// Globs on cell ids: `*` matches within a component, `**` across components; components are
// separated by `::`.
#ifndef COUNTERPART_CAMPAIGN_PATTERN_H_
#define COUNTERPART_CAMPAIGN_PATTERN_H_

#include <string_view>

namespace counterpart::campaign {

bool Matches(std::string_view pattern, std::string_view cell_id);

}  // namespace counterpart::campaign

#endif  // COUNTERPART_CAMPAIGN_PATTERN_H_
