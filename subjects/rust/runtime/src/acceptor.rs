//! The side that is dialled: prologue and handshake on an accepted link, step by step, up to the
//! LetsGo that the session's driver takes over with, or to the stable conduit that goes on over it.

use std::sync::Arc;

use bytes::Bytes;
use counterpart_spec::wire::{
    self as pb, ClientHello, HelloYourself, SorryReason, TransportAccept, TransportRejectReason,
    handshake, prologue, stable_handshake,
};

use crate::conduit::Conduit;
use crate::domain::{Domain, Resumable, Settings};
use crate::handshake::{Stop, check_schema, read, refuse, say, say_prologue};
use crate::ids::Parity;
use crate::journal::random_bytes;
use crate::link::Link;
use crate::session::{Peer, Role, Session, Start};
use crate::stable_conduit::{Newcomer, StableConduit};
use crate::wire::{self, ID_BYTES, MAGIC, VERSION};

/// What a Hello led to.
struct Opened {
    session: Session,
    peer: Peer,
    /// The resume key it presented, empty for a new session.
    key: Bytes,
}

/// Serves one accepted link until it is bound to a session, carries a conduit on, or is refused.
pub(crate) async fn accept(
    domain: Arc<Domain>,
    mut link: Link,
    settings: Settings,
    resumable: bool,
) {
    let (asked, max_payload) = match transport(&mut link, settings).await {
        Ok(transport) => transport,
        Err(stop) => return refuse(&domain, link, domain.record.clone(), &stop),
    };
    let stable = asked == pb::Conduit::Stable;
    let mut conduit = if stable {
        match stable_conduit(&domain, link, max_payload, settings, resumable).await {
            Some(conduit) => conduit.into(),
            None => return,
        }
    } else {
        Conduit::Bare(link)
    };
    let resumable = resumable && !stable; // else it is the conduit that goes on
    let opened = tokio::select! {
        biased;
        () = domain.outnumbered(), if stable => return,
        opened = open(&domain, &mut conduit, max_payload, settings, resumable) => opened,
    };
    let opened = match opened {
        Ok(opened) => opened,
        Err(stop) => return refuse(&domain, conduit, domain.record.clone(), &stop),
    };
    let Opened { session, peer, key } = opened;
    let said = tokio::select! {
        biased;
        () = session.over() => return, // whatever ended it closes its links
        said = read(&mut conduit) => said,
    };
    let lets_go = said.and_then(|payload| match wire::handshake(&payload)? {
        handshake::Kind::LetsGo(_) => Ok(true),
        handshake::Kind::Sorry(_) => Ok(false),
        _ => Err(Stop::Malformed("not a LetsGo".into())),
    });
    match lets_go {
        Ok(true) => session.bind(conduit, peer, key),
        Ok(false) => session.abandoned("the initiator declined".into()),
        Err(stop) => {
            session.abandoned(stop.to_string());
            refuse(&domain, conduit, domain.record.clone(), &stop);
        }
    }
}

/// The prologue: which conduit is asked for, and the counterpart's maximum.
async fn transport(link: &mut Link, settings: Settings) -> Result<(pb::Conduit, u32), Stop> {
    let asked = match read(link).await {
        Ok(payload) => transport_hello(&payload)?,
        Err(Stop::Malformed(text)) => return Err(malformed_transport(text)),
        Err(stop) => return Err(stop),
    };
    let accept = TransportAccept { max_payload: settings.max_payload };
    say_prologue(link, prologue::Kind::Accept(accept));
    Ok(asked)
}

/// A new conduit over this link; none if the link went to one that there is, or was refused.
async fn stable_conduit(
    domain: &Arc<Domain>,
    mut link: Link,
    max_payload: u32,
    settings: Settings,
    resumable: bool,
) -> Option<StableConduit> {
    let refuse = |link, stop| {
        refuse(domain, link, domain.record.clone(), &stop);
        None
    };
    let hello = match client_hello(&mut link).await {
        Ok(hello) => hello,
        Err(Stop::Malformed(text)) => return refuse(link, Stop::Conduit(text)),
        Err(stop) => return refuse(link, stop),
    };
    let key = hello.resume_key.clone();
    let newcomer = Newcomer { link, hello, max_payload };
    if key.is_empty() {
        return Some(StableConduit::serve(domain, newcomer, settings, resumable));
    }
    let known = domain.conduits().find(&key);
    let unknown = match known {
        Some((_, newcomers)) => newcomers.send(newcomer).err()?.0, // given back: it is over
        None => newcomer,
    };
    refuse(unknown.link, Stop::Conduit("unknown resume key".into()))
}

async fn client_hello(link: &mut Link) -> Result<ClientHello, Stop> {
    match wire::stable_handshake(&read(link).await?)? {
        stable_handshake::Kind::ClientHello(hello) => Ok(hello),
        _ => Err(Stop::Malformed("not a ClientHello".into())),
    }
}

async fn open(
    domain: &Arc<Domain>,
    conduit: &mut Conduit,
    max_payload: u32,
    settings: Settings,
    resumable: bool,
) -> Result<Opened, Stop> {
    let payload = read(conduit).await?;
    let handshake::Kind::Hello(hello) = wire::handshake(&payload)? else {
        return Err(Stop::Malformed("not a Hello".into()));
    };
    let ours = domain.registry.protocol_schema;
    check_schema(hello.protocol_schema, ours)?;
    let parity = match hello.parity() {
        pb::Parity::Odd => Parity::Odd,
        pb::Parity::Even => Parity::Even,
        pb::Parity::Unspecified => {
            return Err(Stop::Sorry(SorryReason::IncompatibleSettings, "no parity".into()));
        }
    };
    let max_concurrent_requests = hello.settings.unwrap_or_default().max_concurrent_requests;
    let peer = Peer { parity, max_concurrent_requests, max_payload };
    let key = hello.resume_key;
    let (session, settings, id, next) = if key.is_empty() {
        begin(domain, peer, settings, resumable)
    } else {
        resume(domain, peer, &key)?
    };
    let max_concurrent_requests = settings.max_concurrent_requests;
    say(
        conduit,
        handshake::Kind::HelloYourself(HelloYourself {
            settings: Some(pb::Settings { max_concurrent_requests }),
            protocol_schema: ours,
            resume_key: next,
            session_id: id,
            ..HelloYourself::default()
        }),
    );
    Ok(Opened { session, peer, key })
}

/// What the counterpart's TransportHello asks for, and announces as its maximum.
fn transport_hello(payload: &[u8]) -> Result<(pb::Conduit, u32), Stop> {
    let hello = match wire::prologue(payload) {
        Ok(prologue::Kind::Hello(hello)) => hello,
        Ok(_) => return Err(malformed_transport("not a TransportHello".into())),
        Err(error) => return Err(malformed_transport(error.0)),
    };
    // r[transport.prologue.no-fallback]
    if hello.magic != MAGIC {
        let text = format!("magic {:08x}", hello.magic);
        return Err(Stop::Reject(TransportRejectReason::BadMagic, text));
    }
    if hello.version != VERSION {
        let text = format!("version {}", hello.version);
        return Err(Stop::Reject(TransportRejectReason::UnsupportedVersion, text));
    }
    if hello.conduit() == pb::Conduit::Unspecified {
        let text = format!("conduit {}", hello.conduit);
        return Err(Stop::Reject(TransportRejectReason::UnsupportedConduit, text));
    }
    match wire::accepted_maximum(hello.max_payload) {
        Some(max_payload) => Ok((hello.conduit(), max_payload)),
        None => Err(malformed_transport(format!("max_payload {}", hello.max_payload))),
    }
}

fn malformed_transport(text: String) -> Stop {
    Stop::Reject(TransportRejectReason::Malformed, text)
}

/// A session, its settings, its id, and the resume key to hand out.
type Greeted = (Session, Settings, Bytes, Bytes);

fn begin(domain: &Arc<Domain>, peer: Peer, settings: Settings, resumable: bool) -> Greeted {
    let id = random_bytes(ID_BYTES);
    let role = Role::Acceptor { resumable };
    let start = Start { role, settings, id: id.clone(), calls: Vec::new(), established: None };
    let session = domain.start(start);
    let key = if resumable {
        let known = Resumable { session: session.clone(), peer, settings, id: id.clone() };
        domain.keys().open(session.number, known)
    } else {
        Bytes::new()
    };
    (session, settings, id, key)
}

fn resume(domain: &Domain, peer: Peer, key: &Bytes) -> Result<Greeted, Stop> {
    let mut keys = domain.keys();
    // r[session.resume.unknown]
    let unknown = || Stop::Sorry(SorryReason::UnknownSession, "unknown resume key".into());
    let (number, known) = keys.find(key).ok_or_else(unknown)?;
    if !known.peer.resumes(&peer) {
        let text = "not the parity and settings of the session";
        return Err(Stop::Sorry(SorryReason::SettingsChanged, text.into()));
    }
    let next = keys.present(number, key).ok_or_else(unknown)?;
    Ok((known.session, known.settings, known.id, next))
}
