// The testbed's one handler: it runs the Program inside its request.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "runtime/service.h"

namespace subject {

// Gates of one scope. An opened gate stays open.
class Gates {
 public:
  // True if open; else `wake` runs once it is.
  bool Pass(const std::string& name, std::function<void()> wake);
  void Open(const std::string& name);

 private:
  struct Gate {
    bool open = false;
    std::vector<std::function<void()>> waiting;
  };
  std::map<std::string, Gate> gates_;
};

// Those of a new scope.  r[control.scope]
std::shared_ptr<Gates> NewGates();

// The methods of a service of the testbed, by its full name, if there is such a service; those that
// are offered from the start; and what serves every one of them.
std::optional<Methods> TestbedMethods(const std::string& service);
Methods OfferedMethods();
Handler TestbedHandler(std::shared_ptr<Gates> gates);

}  // namespace subject
