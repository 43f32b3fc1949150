//! The service `Subject`.

use std::collections::HashMap;
use std::ffi::OsString;
use std::fs::OpenOptions;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::time::Instant;

use counterpart_runtime::Runtime;
use counterpart_runtime::command_log::CommandLog;
use counterpart_runtime::service::Registry;
use counterpart_spec::DESCRIPTORS;
use counterpart_spec::control::{
    DescribeRequest, DescribeResponse, ExecuteRequest, ExecuteResponse, JournalRequest,
    JournalResponse, PendingTimer, ResetRequest, ResetResponse, SettleRequest, SettleResponse,
    StatusRequest, StatusResponse, subject_server::Subject,
};
use tonic::{Request, Response, Status, async_trait};

use crate::commands::{CAPABILITIES, Scope};

/// Answers every method of the service.
pub(crate) struct Control {
    runtime: Runtime,
    log: CommandLog,
    scopes: Mutex<HashMap<String, Arc<Scope>>>,
}

impl Control {
    /// Runs of handlers are appended to the file `executions`.
    pub(crate) fn new(executions: Option<OsString>) -> std::io::Result<Self> {
        let append = |path| OpenOptions::new().append(true).create(true).open(path).map(Arc::new);
        let runtime = Runtime {
            journal: Default::default(),
            workload: Default::default(),
            registry: Arc::new(Registry::of(&DESCRIPTORS, "counterpart.testbed.v1.Testbed")),
            executions: executions.map(append).transpose()?,
        };
        let log = CommandLog::new(runtime.journal.clone(), runtime.workload.clone());
        Ok(Self { runtime, log, scopes: Mutex::default() })
    }

    fn scope(&self, name: &str) -> Arc<Scope> {
        let mut scopes = self.scopes.lock().expect("no panic while it is held");
        let scope = scopes.entry(name.into()).or_insert_with(|| Scope::new(&self.runtime, name));
        scope.clone()
    }
}

#[async_trait]
impl Subject for Control {
    async fn describe(
        &self,
        _: Request<DescribeRequest>,
    ) -> Result<Response<DescribeResponse>, Status> {
        Ok(Response::new(DescribeResponse {
            name: "rust".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            language: "Rust".into(),
            capabilities: CAPABILITIES.map(Into::into).into(),
            epoch: self.runtime.journal.epoch(),
            mutant: String::new(),
        }))
    }

    async fn execute(
        &self,
        request: Request<ExecuteRequest>,
    ) -> Result<Response<ExecuteResponse>, Status> {
        let prepare = |request: &ExecuteRequest| self.scope(&request.scope).prepare(request);
        Ok(Response::new(self.log.execute(request.into_inner(), prepare).await))
    }

    async fn status(
        &self,
        request: Request<StatusRequest>,
    ) -> Result<Response<StatusResponse>, Status> {
        Ok(Response::new(self.log.status(request.get_ref())))
    }

    async fn journal(
        &self,
        request: Request<JournalRequest>,
    ) -> Result<Response<JournalResponse>, Status> {
        let JournalRequest { scope, after_seq } = request.into_inner();
        let (events, gap) = self.runtime.journal.read(&scope, after_seq);
        Ok(Response::new(JournalResponse { epoch: self.runtime.journal.epoch(), events, gap }))
    }

    async fn settle(&self, _: Request<SettleRequest>) -> Result<Response<SettleResponse>, Status> {
        tokio::task::yield_now().await; // to the back of the queue
        let due = |due: Instant| due.saturating_duration_since(Instant::now()).as_millis() as u64;
        let timers = self.runtime.workload.timers().into_iter();
        Ok(Response::new(SettleResponse {
            accepted: self.log.accepted.load(Ordering::Relaxed),
            answered: self.log.answered.load(Ordering::Relaxed),
            journal_seq: self.runtime.journal.seq(),
            runnable: u32::try_from(self.runtime.workload.ready()).unwrap_or(u32::MAX),
            timers: timers
                .map(|(name, at)| PendingTimer {
                    name: name.into(),
                    due_ms: due(at),
                    periodic: false,
                })
                .collect(),
        }))
    }

    async fn reset(
        &self,
        request: Request<ResetRequest>,
    ) -> Result<Response<ResetResponse>, Status> {
        let name = request.into_inner().scope;
        let scope = self.scopes.lock().expect("no panic while it is held").remove(&name);
        let counts = scope.as_ref().map(|scope| scope.domain.counts()).unwrap_or_default();
        self.log.drop_scope(&name);
        if let Some(scope) = scope {
            scope.domain.end().await;
        }
        self.runtime.journal.retire(&name);
        Ok(Response::new(counts))
    }
}
