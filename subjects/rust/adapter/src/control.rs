//! The service `Subject`.

use std::collections::HashMap;
use std::sync::{Arc, Mutex};

use counterpart_runtime::command_log::CommandLog;
use counterpart_runtime::{Runtime, mutant};
use counterpart_spec::control::{
    DescribeRequest, DescribeResponse, ExecuteRequest, ExecuteResponse, JournalRequest,
    JournalResponse, ResetRequest, ResetResponse, SettleRequest, SettleResponse, StatusRequest,
    StatusResponse, subject_server::Subject,
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
    pub(crate) fn new(runtime: Runtime) -> Self {
        let log = CommandLog::new(runtime.journal.clone(), runtime.workload.clone());
        Self { runtime, log, scopes: Mutex::default() }
    }

    fn scope(&self, name: &str) -> Arc<Scope> {
        let mut scopes = self.scopes.lock().expect("no panic while it is held");
        let scope = scopes.entry(name.into()).or_insert_with(|| Scope::new(&self.runtime, name));
        scope.clone()
    }
}

type Answer<T> = Result<Response<T>, Status>;

#[async_trait]
impl Subject for Control {
    async fn describe(&self, _: Request<DescribeRequest>) -> Answer<DescribeResponse> {
        Ok(Response::new(DescribeResponse {
            name: "rust".into(),
            version: env!("CARGO_PKG_VERSION").into(),
            language: "Rust".into(),
            capabilities: CAPABILITIES.split(' ').map(Into::into).collect(),
            epoch: self.runtime.journal.epoch(),
            mutant: mutant::active().into(),
        }))
    }

    async fn execute(&self, request: Request<ExecuteRequest>) -> Answer<ExecuteResponse> {
        let prepare = |request: &ExecuteRequest| self.scope(&request.scope).prepare(request);
        Ok(Response::new(self.log.execute(request.into_inner(), prepare).await))
    }

    async fn status(&self, request: Request<StatusRequest>) -> Answer<StatusResponse> {
        Ok(Response::new(self.log.status(request.get_ref())))
    }

    async fn journal(&self, request: Request<JournalRequest>) -> Answer<JournalResponse> {
        Ok(Response::new(self.runtime.journal.answer(request.get_ref())))
    }

    async fn settle(&self, _: Request<SettleRequest>) -> Answer<SettleResponse> {
        Ok(Response::new(self.log.settle().await))
    }

    async fn reset(&self, request: Request<ResetRequest>) -> Answer<ResetResponse> {
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
