#include "testbed/program.h"

#include <google/protobuf/dynamic_message.h>

#include <utility>

#include "counterpart/testbed/v1/testbed.pb.h"
#include "runtime/channel.h"
#include "runtime/mutation.h"

namespace subject {

namespace testbed = counterpart::testbed::v1;

bool Gates::Pass(const std::string& name, std::function<void()> wake) {
  Gate& gate = gates_[name];
  if (!gate.open) gate.waiting.push_back(std::move(wake));
  return gate.open;
}

void Gates::Open(const std::string& name) {
  Gate& gate = gates_[name];
  gate.open = true;
  for (const auto& wake : std::exchange(gate.waiting, {})) wake();
}

std::shared_ptr<Gates> NewGates() {
  static const auto of_all = std::make_shared<Gates>();
  return Mutated("opens_the_gates_of_all_scopes") ? of_all : std::make_shared<Gates>();
}

namespace {

using google::protobuf::FieldDescriptor;
using google::protobuf::Message;

std::unique_ptr<Message> New(const google::protobuf::Descriptor* type) {
  const auto* prototype = google::protobuf::MessageFactory::generated_factory()->GetPrototype(type);
  return std::unique_ptr<Message>(prototype->New());
}

class ProgramRun final : public Run {
 public:
  ProgramRun(std::shared_ptr<Gates> gates, Invocation invocation)
      : gates_(std::move(gates)), invocation_(std::move(invocation)) {
    request_ = New(invocation_.method->request);
    request_->ParseFromString(invocation_.arguments);  // checked by the runtime
    for (const auto& [field, end] : invocation_.ends) {
      if (end.sending) output_ = end.sending;
      if (end.receiving) input_ = end.receiving;
    }
    const FieldDescriptor* field = invocation_.method->request->FindFieldByName("program");
    program_.CopyFrom(request_->GetReflection()->GetMessage(*request_, field));
    if (program_.steps().empty()) AddNaturalSteps();
  }

  void Advance() override {
    if (!MetadataPassedOn()) return;
    while (step_ < program_.steps_size()) {
      switch (Step(program_.steps(step_))) {
        case Progress::kDone:
          ++step_;
          done_ = 0;
          break;
        case Progress::kBlocked:
          return;
        case Progress::kOver:
          return;  // finished
      }
    }
    EndEnds();
    Finish(HandlerResult::Kind::kOk, Response());
  }

 private:
  enum class Progress { kDone, kBlocked, kOver };

  // EchoMetadata, asked to: a call in turn, waited for.
  bool MetadataPassedOn() {
    testbed::EchoMetadataRequest asked;
    if (request_->GetDescriptor() != asked.GetDescriptor()) return true;
    asked.CopyFrom(*request_);
    if (!asked.pass_on()) return true;
    if (passed_on_ == nullptr) {
      passed_on_ = std::make_shared<bool>(false);
      invocation_.call(invocation_.method->name, "",
                       [answered = passed_on_, wake = invocation_.wake] {
                         *answered = true;
                         wake();
                       });
    }
    return *passed_on_;
  }

  void AddNaturalSteps() {
    if (input_ && output_) {
      program_.add_steps()->mutable_forward();
    } else if (input_) {
      program_.add_steps()->mutable_consume();
    } else if (output_) {
      testbed::Emit& emit = *program_.add_steps()->mutable_emit();
      const auto* type = invocation_.method->request;
      const auto* reflection = request_->GetReflection();
      emit.set_first(reflection->GetUInt64(*request_, type->FindFieldByName("first")));
      emit.set_count(reflection->GetUInt32(*request_, type->FindFieldByName("count")));
    }
  }

  Progress Step(const testbed::Step& step) {
    switch (step.kind_case()) {
      case testbed::Step::kEmit:
        return Emit(step.emit().first(), step.emit().count());
      case testbed::Step::kConsume:
        return Take(step.consume().count(), false);
      case testbed::Step::kForward:
        return Take(step.forward().count(), true);
      case testbed::Step::kWait:
        return gates_->Pass(step.wait().gate(), invocation_.wake) ? Progress::kDone
                                                                  : Progress::kBlocked;
      case testbed::Step::kFail:
        EndEnds();
        return Fail(step.fail().code(), step.fail().text());
      case testbed::Step::kCloseOutput:
        if (output_) output_->Close();
        return Progress::kDone;
      case testbed::Step::kResetInput:
        if (input_) input_->Reset();
        return Progress::kDone;
      default:
        return Finish(HandlerResult::Kind::kPanic, "");
    }
  }

  // Nothing if it was accepted. A send that fails because the receiver reset ends the step, not the
  // program.
  std::optional<Progress> SendNumber(uint64_t value) {
    if (!output_) return Progress::kDone;
    testbed::Number number;
    number.set_value(value);
    const Sent sent = output_->Send(number.SerializeAsString());
    if (sent == Sent::kAccepted) return std::nullopt;
    if (sent != Sent::kNotNow) return Progress::kDone;
    output_->OnChange(invocation_.wake);
    return Progress::kBlocked;
  }

  Progress Emit(uint64_t first, uint32_t count) {
    while (done_ < count) {
      if (const auto stopped = SendNumber(first + done_)) return *stopped;
      ++done_;
      ++emitted_;
    }
    return Progress::kDone;
  }

  Progress Take(uint32_t count, bool forward) {
    while (count == 0 || done_ < count) {
      if (forward && pending_) {
        if (const auto stopped = SendNumber(*pending_ * 2)) return *stopped;
        pending_.reset();
        ++emitted_;
        ++done_;
        continue;
      }
      std::string item;
      if (!input_ || !input_->Take(item)) {
        const EndStatus status = input_ ? input_->status() : EndStatus::kClosed;
        if (status == EndStatus::kOpen) {
          input_->OnItemOrEnd(invocation_.wake);
          return Progress::kBlocked;
        }
        if (status == EndStatus::kClosed) return Progress::kDone;
        EndEnds();
        return Fail(1001, "input failed");
      }
      testbed::Number number;
      number.ParseFromString(item);
      sum_ += number.value();
      ++taken_;
      if (forward) {
        pending_ = number.value();
      } else {
        ++done_;
      }
    }
    return Progress::kDone;
  }

  void EndEnds() {
    if (output_) output_->Close();
    if (input_) input_->Reset();
  }

  std::string Response() const {
    std::unique_ptr<Message> response = New(invocation_.method->response);
    const auto* type = invocation_.method->response;
    const auto* out = response->GetReflection();
    for (int i = 0; i < type->field_count(); ++i) {
      const FieldDescriptor* field = type->field(i);
      if (field->name() == "emitted") {
        out->SetUInt32(response.get(), field, emitted_);
      } else if (field->name() == "sum") {
        out->SetUInt64(response.get(), field, sum_);
      } else if (field->name() == "count") {
        out->SetUInt32(response.get(), field, taken_);
      } else if (field->name() == "entries") {
        out->SetUInt32(response.get(), field, invocation_.metadata.size());
      } else {  // what the request says
        const FieldDescriptor* source = invocation_.method->request->FindFieldByName(field->name());
        const auto* in = request_->GetReflection();
        if (field->message_type() == nullptr) {
          out->SetString(response.get(), field, in->GetString(*request_, source));
        } else if (in->HasField(*request_, source)) {
          out->MutableMessage(response.get(), field)->CopyFrom(in->GetMessage(*request_, source));
        }
      }
    }
    return response->SerializeAsString();
  }

  Progress Fail(uint32_t code, const std::string& text) {
    testbed::TestbedError error;
    error.set_code(code);
    error.set_text(text);
    return Finish(HandlerResult::Kind::kUserError, error.SerializeAsString());
  }

  // The last act: this object may be gone when it returns.
  Progress Finish(HandlerResult::Kind kind, std::string value) {
    step_ = program_.steps_size();
    auto finish = std::move(invocation_.finish);
    const bool echoes = invocation_.method->response->FindFieldByName("entries") != nullptr;
    std::vector<counterpart::wire::v1::MetadataEntry> metadata;
    if (echoes) metadata = std::move(invocation_.metadata);
    finish({kind, std::move(value), std::move(metadata)});
    return Progress::kOver;
  }

  std::shared_ptr<Gates> gates_;
  Invocation invocation_;
  std::unique_ptr<Message> request_;
  testbed::Program program_;
  std::shared_ptr<SendingEnd> output_;
  std::shared_ptr<ReceivingEnd> input_;
  std::shared_ptr<bool> passed_on_;  // null: nothing was; else whether it was answered
  int step_ = 0;
  uint32_t done_ = 0;  // of the current step
  std::optional<uint64_t> pending_;
  uint32_t emitted_ = 0, taken_ = 0;
  uint64_t sum_ = 0;
};

}  // namespace

std::optional<Methods> TestbedMethods(const std::string& service) {
  const auto* file = testbed::EchoRequest::descriptor()->file();
  const auto* found = file->pool()->FindServiceByName(service);
  return found == nullptr ? std::nullopt : std::optional(MethodsOf(found));
}

Methods OfferedMethods() {
  Methods methods = *TestbedMethods("counterpart.testbed.v1.Testbed");
  methods.merge(*TestbedMethods("counterpart.testbed.v1.Durable"));
  return methods;
}

Handler TestbedHandler(std::shared_ptr<Gates> gates) {
  return [gates = std::move(gates)](Invocation invocation) -> std::unique_ptr<Run> {
    return std::make_unique<ProgramRun>(gates, std::move(invocation));
  };
}

}  // namespace subject
