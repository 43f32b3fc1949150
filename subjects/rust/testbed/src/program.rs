//! The testbed's one handler: it runs the `Program` inside its request.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use bytes::Bytes;
use counterpart_runtime::service::{Handler, Invocation, Returned};
use counterpart_runtime::{Handle, Receiver, SendFailed, Sender};
use counterpart_spec::control::EndStatus;
use counterpart_spec::testbed::{
    Consume, EchoMetadataRequest, EchoMetadataResponse, EchoRequest, EchoResponse, EchoTreeRequest,
    EchoTreeResponse, Emit, Forward, GenerateRequest, GenerateResponse, Number, Program, Step,
    SumRequest, SumResponse, TestbedError, TransformRequest, TransformResponse, step::Kind,
};
use prost::Message;
use tokio::sync::watch;

const INPUT_FAILED: u32 = 1001;

/// Places where programs wait. A gate stays open once it was opened.
#[derive(Debug, Default)]
pub struct Gates(Mutex<HashMap<String, watch::Sender<bool>>>);

impl Gates {
    /// Lets everybody through, from now on.
    pub fn open(&self, gate: &str) {
        let mut gates = self.0.lock().expect("no panic while it is held");
        gates.entry(gate.into()).or_default().send_replace(true);
    }

    async fn wait(&self, gate: &str) {
        let mut open = {
            let mut gates = self.0.lock().expect("no panic while it is held");
            gates.entry(gate.into()).or_default().subscribe()
        };
        let _ = open.wait_for(|open| *open).await; // an error: the gates are gone, and so are we
    }
}

/// The handler of one scope.
pub fn handler(gates: Arc<Gates>) -> Handler {
    Arc::new(move |invocation| Box::pin(serve(gates.clone(), invocation)))
}

/// Runs one request. The ends of a run that crashes are let go of, and so abandoned.
async fn serve(gates: Arc<Gates>, invocation: Invocation) -> Returned {
    let request = Request::of(&invocation);
    let mut run = Run { gates, ..Run::default() };
    let mut metadata = Vec::new();
    if let Request::EchoMetadata(asked) = &request {
        if asked.pass_on {
            invocation.call(&invocation.method.name, Bytes::new()).await;
        }
        metadata.clone_from(&invocation.metadata);
        run.entries = metadata.len() as u32;
    }
    for handle in invocation.channels.into_values() {
        match handle {
            Handle::Sender(end) => run.output = Some(end),
            Handle::Receiver(end) => run.input = Some(end),
        }
    }
    let program = request.program();
    let ended = run.program(program).await;
    if let Some(output) = &run.output {
        output.close().await;
    }
    if let Some(input) = &run.input {
        input.reset().await;
    }
    match ended {
        Ok(()) => Returned::Ok(request.reply(&run), metadata),
        Err(error) => Returned::UserError(error.encode_to_vec().into()),
    }
}

/// The requests there are. A method and its idem twin have the same fields.
enum Request {
    Echo(EchoRequest),
    Generate(GenerateRequest),
    Sum(SumRequest),
    Transform(TransformRequest),
    EchoTree(EchoTreeRequest),
    EchoMetadata(EchoMetadataRequest),
}

impl Request {
    fn of(invocation: &Invocation) -> Self {
        let bytes = invocation.arguments.clone();
        let decoded = match invocation.method.name.rsplit('/').next() {
            Some("Echo" | "EchoIdem") => EchoRequest::decode(bytes).map(Self::Echo),
            Some("Generate" | "GenerateIdem") => GenerateRequest::decode(bytes).map(Self::Generate),
            Some("EchoTree") => EchoTreeRequest::decode(bytes).map(Self::EchoTree),
            Some("EchoMetadata") => EchoMetadataRequest::decode(bytes).map(Self::EchoMetadata),
            Some("Sum" | "SumFromZero") => SumRequest::decode(bytes).map(Self::Sum),
            _ => TransformRequest::decode(bytes).map(Self::Transform),
        };
        decoded.expect("the runtime has decoded them before")
    }

    /// What it says, or the method's natural behaviour.
    fn program(&self) -> Vec<Step> {
        let (program, natural) = match self {
            Self::Echo(request) => (&request.program, None),
            Self::EchoTree(request) => (&request.program, None),
            Self::EchoMetadata(request) => (&request.program, None),
            Self::Generate(request) => {
                let emit = Emit { first: request.first, count: request.count };
                (&request.program, Some(Kind::Emit(emit)))
            }
            Self::Sum(request) => (&request.program, Some(Kind::Consume(Consume { count: 0 }))),
            Self::Transform(request) => {
                (&request.program, Some(Kind::Forward(Forward { count: 0 })))
            }
        };
        match program {
            Some(Program { steps }) if !steps.is_empty() => steps.clone(),
            _ => natural.into_iter().map(|kind| Step { kind: Some(kind) }).collect(),
        }
    }

    fn reply(self, run: &Run) -> Bytes {
        let (sum, count, emitted) = (run.sum, run.taken, run.emitted);
        let encoded = match self {
            Self::Echo(EchoRequest { text, padding, .. }) => {
                EchoResponse { text, padding }.encode_to_vec()
            }
            Self::EchoTree(EchoTreeRequest { tree, label, .. }) => {
                EchoTreeResponse { tree, label }.encode_to_vec()
            }
            Self::EchoMetadata(_) => EchoMetadataResponse { entries: run.entries }.encode_to_vec(),
            Self::Generate(_) => GenerateResponse { emitted }.encode_to_vec(),
            Self::Sum(_) => SumResponse { sum, count }.encode_to_vec(),
            Self::Transform(_) => TransformResponse { count }.encode_to_vec(),
        };
        encoded.into()
    }
}

/// One run of a program: its ends and what it counted.
#[derive(Default)]
struct Run {
    gates: Arc<Gates>,
    input: Option<Receiver>,
    output: Option<Sender>,
    emitted: u32,
    taken: u32,
    sum: u64,
    entries: u32,
}

impl Run {
    async fn program(&mut self, steps: Vec<Step>) -> Result<(), TestbedError> {
        for step in steps {
            match step.kind {
                Some(Kind::Emit(Emit { first, count })) => {
                    for offset in 0..u64::from(count) {
                        if !self.emit(first.wrapping_add(offset)).await {
                            break;
                        }
                    }
                }
                Some(Kind::Consume(Consume { count })) => self.take(count, false).await?,
                Some(Kind::Forward(Forward { count })) => self.take(count, true).await?,
                Some(Kind::Wait(wait)) => self.gates.wait(&wait.gate).await,
                Some(Kind::Fail(fail)) => {
                    return Err(TestbedError { code: fail.code, text: fail.text });
                }
                Some(Kind::CloseOutput(_)) => match &self.output {
                    Some(output) => output.close().await,
                    None => crash(),
                },
                Some(Kind::ResetInput(_)) => match &self.input {
                    Some(input) => input.reset().await,
                    None => crash(),
                },
                Some(Kind::Panic(_)) | None => crash(),
            }
        }
        Ok(())
    }

    /// Sends one number; false once the receiver wants no more.
    async fn emit(&mut self, value: u64) -> bool {
        let Some(output) = &self.output else { crash() };
        match output.send(Number { value }.encode_to_vec()).await {
            Ok(()) => self.emitted += 1,
            Err(SendFailed::Ended(_)) => return false,
            Err(SendFailed::TooLarge) => crash(),
        }
        true
    }

    /// Takes up to `count` items (0: all), adds them up, and sends them on, doubled, if asked.
    async fn take(&mut self, count: u32, forward: bool) -> Result<(), TestbedError> {
        let wanted = if count == 0 { u32::MAX } else { self.taken.saturating_add(count) };
        while self.taken < wanted {
            let Some(input) = &self.input else { crash() };
            let value = match input.take().await {
                Ok(item) => Number::decode(item).map(|number| number.value),
                Err(EndStatus::Closed) => return Ok(()),
                Err(_) => return Err(input_failed()),
            };
            let value = value.map_err(|_| input_failed())?;
            self.taken += 1;
            self.sum = self.sum.wrapping_add(value);
            if forward && !self.emit(value.wrapping_mul(2)).await {
                return Ok(());
            }
        }
        Ok(())
    }
}

fn input_failed() -> TestbedError {
    TestbedError { code: INPUT_FAILED, text: "input failed".into() }
}

/// What the program calls a panic; it unwinds to the runtime, without a word on standard error.
fn crash() -> ! {
    std::panic::resume_unwind(Box::new("the program says so"))
}
