//! Connections through packet forwarders (kube-proxy, a network balancer): who forwards a connection learns when it ends.
//!
//! A forwarder hands a call on and is not asked again; but it keeps a row for the connection, which counts against a table or decides where the
//! next connection goes. A connection of users lives until they close it, one of another node as long as its call (a proxy's
//! idle connections are not followed).

use super::message::{CallId, NodeId};
use crate::kernel::{Span, Time};
use std::collections::BTreeMap;

/// Timer kind that tells a forwarder that a connection has ended: its word is what the forwarder said.
pub const FLOW_ENDED: u8 = 249;

/// A connection that somebody follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Flow {
    /// Who follows it.
    pub forwarder: NodeId,
    /// What the forwarder wants to be told at its end.
    pub word: u32,
    /// How long it may be silent before the forwarder forgets it.
    pub idle: Option<Span>,
    /// When something was last sent over it.
    pub since: Time,
}

/// The forwarders of one connection: a network balancer and kube-proxy behind it are the most that follow one.
pub type Path = [Option<Flow>; 2];

/// Connections that somebody follows.
#[derive(Debug, Default)]
pub struct Flows {
    /// Of users, by their class and their own name for the connection.
    kept: BTreeMap<(NodeId, u32), Path>,
    /// Of other nodes, by call.
    calls: BTreeMap<(u32, u32), Path>,
    /// Answers that went over connections of a forwarder.
    carried: BTreeMap<NodeId, u64>,
    any: bool,
}

impl Flows {
    /// Whether any connection was ever followed: until then nobody need ask.
    #[inline]
    pub fn any(&self) -> bool {
        self.any
    }

    /// From now on a connection is followed that `owner` keeps beyond its call under the name `tag`.
    pub fn follow_kept(&mut self, owner: NodeId, tag: u32, flow: Flow) {
        self.any = true;
        join(self.kept.entry((owner, tag)).or_default(), flow);
    }

    /// From now on a connection is followed that lives as long as a call.
    pub fn follow_call(&mut self, call: CallId, flow: Flow) {
        self.any = true;
        join(self.calls.entry((call.slot, call.turn)).or_default(), flow);
    }

    /// A call was answered over a connection that stays open, or not: what ended with it.
    pub fn answered(
        &mut self,
        call: CallId,
        (owner, tag): (NodeId, u32),
        stays: bool,
        now: Time,
    ) -> Path {
        let own = self.calls.remove(&(call.slot, call.turn));
        let ended = match own {
            None if stays => None,
            None => self.kept.remove(&(owner, tag)),
            own => own,
        };
        let kept = if ended.is_none() { self.kept.get_mut(&(owner, tag)) } else { None };
        for flow in kept.into_iter().flatten().flatten() {
            flow.since = now;
            *self.carried.entry(flow.forwarder).or_default() += 1;
        }
        let ended = ended.unwrap_or_default();
        for flow in ended.iter().flatten() {
            *self.carried.entry(flow.forwarder).or_default() += 1;
        }
        ended
    }

    /// A call was given up, and its connection closed: what ended with it.
    pub fn given_up(&mut self, call: CallId, (owner, tag): (NodeId, u32)) -> Path {
        let own = self.calls.remove(&(call.slot, call.turn));
        own.or_else(|| self.kept.remove(&(owner, tag))).unwrap_or_default()
    }

    /// A connection was closed by its owner.
    pub fn closed(&mut self, owner: NodeId, tag: u32) -> Path {
        self.kept.remove(&(owner, tag)).unwrap_or_default()
    }

    /// Whether a forwarder of a kept connection has forgotten it because it was silent for too long: which one, and what ends
    /// with that.
    pub fn forgotten(&mut self, owner: NodeId, tag: u32, now: Time) -> Option<(NodeId, Path)> {
        let path = self.kept.get(&(owner, tag))?;
        let silent = |flow: &&Flow| flow.idle.is_some_and(|idle| now.since(flow.since) > idle);
        let forwarder = path.iter().flatten().find(silent)?.forwarder;
        Some((forwarder, self.kept.remove(&(owner, tag))?))
    }

    /// Answers that went over connections of a forwarder.
    pub fn carried(&self, forwarder: NodeId) -> u64 {
        self.carried.get(&forwarder).copied().unwrap_or_default()
    }

    /// Connections that are followed now.
    pub fn len(&self) -> usize {
        self.kept.len() + self.calls.len()
    }

    /// Whether none is followed now.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }
}

/// Adds a forwarder; one that has been told of a connection of that name before begins anew.
fn join(path: &mut Path, flow: Flow) {
    let own = |place: &Option<Flow>| place.is_none_or(|other| other.forwarder == flow.forwarder);
    if let Some(place) = path.iter_mut().find(|place| own(place)) {
        *place = Some(flow);
    } else {
        debug_assert!(false, "a third forwarder of one connection");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_end_is_told_once() {
        let mut flows = Flows::default();
        let (class, port) = (NodeId(9), NodeId(1));
        let call = CallId { slot: 3, turn: 2 };
        let flow = |word| Flow { forwarder: port, word, idle: None, since: Time::ZERO };
        let now = Time::ZERO;
        assert!(!flows.any());
        flows.follow_kept(class, 7, flow(70));
        flows.follow_call(call, flow(30));
        assert_eq!(flows.answered(call, (class, 8), false, now), [Some(flow(30)), None]);
        let other = CallId { slot: 4, turn: 0 };
        assert_eq!(flows.answered(other, (class, 7), true, now), [None, None]);
        assert_eq!(flows.answered(other, (class, 7), false, now), [Some(flow(70)), None]);
        assert_eq!(flows.closed(class, 7), [None, None]);
        assert!(flows.is_empty() && flows.any());
        assert_eq!(flows.carried(port), 3);
    }

    #[test]
    fn a_silent_connection_is_forgotten_after_its_time() {
        let mut flows = Flows::default();
        let (class, nlb) = (NodeId(9), NodeId(1));
        let (idle, port) = (Span::from_secs(350), NodeId(2));
        let at = |seconds| Time::ZERO + Span::from_secs(seconds);
        flows.follow_kept(
            class,
            1,
            Flow { forwarder: nlb, word: 0, idle: Some(idle), since: at(0) },
        );
        flows.follow_kept(class, 1, Flow { forwarder: port, word: 5, idle: None, since: at(0) });
        let call = CallId { slot: 0, turn: 0 };
        assert_eq!(flows.answered(call, (class, 1), true, at(100)), [None, None]);
        assert_eq!(flows.forgotten(class, 1, at(450)), None);
        let (forwarder, ended) = flows.forgotten(class, 1, at(451)).unwrap();
        assert_eq!((forwarder, ended.map(|flow| flow.unwrap().word)), (nlb, [0, 5]));
        assert_eq!(flows.forgotten(class, 1, at(452)), None);
    }
}
