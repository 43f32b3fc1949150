//! The Rust subject: serves the control plane over gRPC on loopback until standard input ends.

mod commands;
mod control;

use std::io::{Read, Write};

use counterpart_runtime::{Runtime, mutant, service::Registry};
use counterpart_spec::DESCRIPTORS;
use counterpart_spec::control::subject_server::SubjectServer;
use tonic::transport::server::{Server, TcpIncoming};
use tonic::{Request, Status};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    match arguments.iter().map(String::as_str).collect::<Vec<_>>()[..] {
        [] => {}
        ["--mutant", name] if mutant::activate(name) => {}
        _ => {
            eprintln!("usage: subject_rust [--mutant NAME]");
            std::process::exit(2);
        }
    }
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
    runtime.block_on(serve())
}

async fn serve() -> Result<(), Box<dyn std::error::Error>> {
    let token = std::env::var("COUNTERPART_TOKEN").unwrap_or_default();
    let registry = Registry::of(&DESCRIPTORS, "counterpart.testbed.v1.Testbed");
    let runtime = Runtime::new(registry, std::env::var_os("COUNTERPART_EXECUTIONS"))?;
    let control = control::Control::new(runtime);
    let service = SubjectServer::new(control)
        .max_decoding_message_size(usize::MAX)
        .max_encoding_message_size(usize::MAX);
    // r[control.token]
    let admit = move |request: Request<()>| match request.metadata().get("counterpart-token") {
        Some(said) if said.as_bytes() == token.as_bytes() => Ok(request),
        _ => Err(Status::unauthenticated("counterpart-token")),
    };
    let service = tonic::service::interceptor::InterceptedService::new(service, admit);
    let listener = tokio::net::TcpListener::bind(("127.0.0.1", 0)).await?;
    println!("counterpart-subject 1 grpc {}", listener.local_addr()?); // r[control.start]
    std::io::stdout().flush()?;
    std::thread::spawn(|| {
        let mut ignored = [0; 256];
        while std::io::stdin().read(&mut ignored).is_ok_and(|length| length > 0) {}
        std::process::exit(0);
    });
    let incoming = TcpIncoming::from(listener).with_nodelay(Some(true));
    Ok(Server::builder().add_service(service).serve_with_incoming(incoming).await?)
}
