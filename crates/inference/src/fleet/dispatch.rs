//! One request's way through the fleet: who takes it, and who takes it next when that one fails.
//!
//! Targets of the lowest rank that are well come first, the replicas among them by load and prefix
//! ([`balance`]); then the next rank. A target that failed is not asked again before all others were, and then
//! only after a pause. All of it within the attempts and the budget of the configuration.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::time::{Duration, Instant};

use futures_util::future::{Either, select};
use tokio::time::sleep;

use super::member::Member;
use super::vitals::Ticket;
use super::{Fleet, now};
use crate::Error;
use crate::resilience::balance::{self, Candidate, PrefixKey};
use crate::resilience::outlier;
use crate::resilience::retry::{self, Verdict};
use crate::route::{Route, Target};

/// See the module.
pub(super) struct Dispatch {
    pub(super) fleet: Arc<Fleet>,
    pub(super) route: Route,
    key: Option<PrefixKey>,
    /// Estimated tokens of the request.
    load: u64,
    /// When the caller came.
    pub(super) begun: Instant,
    /// Places of targets that failed since the last pause.
    tried: Vec<usize>,
    attempts: u32,
    /// What the last attempt came to.
    last: Option<Error>,
}

/// A target that takes the request.
struct Picked {
    place: usize,
    member: Member,
    ticket: Ticket,
}

/// An answer, who gave it, and its place in the books.
pub(super) struct Answered<T> {
    pub(super) value: T,
    pub(super) target: Target,
    pub(super) member: Member,
    pub(super) ticket: Ticket,
    pub(super) place: usize,
}

impl Dispatch {
    pub(super) fn new(fleet: &Arc<Fleet>, route: &Route, key: Option<PrefixKey>, load: u64) -> Self {
        let begun = now();
        fleet.budget().request(begun);
        Self {
            fleet: Arc::clone(fleet),
            route: route.clone(),
            key,
            load,
            begun,
            tried: Vec::new(),
            attempts: 0,
            last: None,
        }
    }

    /// Sends the request until it is answered or there is nobody left to ask.
    pub(super) async fn run<T, F>(&mut self, send: impl Fn(Member, Target) -> F) -> Result<Answered<T>, Error>
    where
        F: Future<Output = Result<T, Error>>,
    {
        loop {
            let picked = self.pick()?;
            let sent = match self.route.policy.hedge_after {
                // Two of these futures at once are large, and rare.
                Some(after) => Box::pin(self.race(picked, after, &send)).await,
                None => Self::send(self.target(picked.place), picked, &send).await,
            };
            match sent {
                Ok(answered) => return Ok(answered),
                Err((place, member, error)) => self.after_failure(place, &member, error).await?,
            }
        }
    }

    /// A stream from the target at `place` broke off before its first event: whether the request may be sent
    /// again.
    pub(super) async fn may_go_on(&mut self, place: usize, member: &Member, error: Error) -> Result<(), Error> {
        // The caller knows the model's name already.
        let name = &self.route.targets[place].public_name;
        let others = self.route.targets.iter().enumerate().filter(|(_, target)| target.public_name != *name);
        self.tried.extend(others.map(|(place, _)| place));
        self.route.policy.hedge_after = None;
        self.after_failure(place, member, error).await
    }

    async fn send<T, F>(
        target: Target,
        mut picked: Picked,
        send: &impl Fn(Member, Target) -> F,
    ) -> Result<Answered<T>, (usize, Member, Error)>
    where
        F: Future<Output = Result<T, Error>>,
    {
        match send(picked.member.clone(), target.clone()).await {
            Ok(value) => {
                let place = picked.place;
                Ok(Answered { value, target, member: picked.member, ticket: picked.ticket, place })
            }
            Err(error) => {
                picked.ticket.failed(&error, fastrand::f64());
                Err((picked.place, picked.member, error))
            }
        }
    }

    /// Sends to a second target when the first takes long; the first answer counts, the other is dropped.
    async fn race<T, F>(
        &mut self,
        first: Picked,
        after: Duration,
        send: &impl Fn(Member, Target) -> F,
    ) -> Result<Answered<T>, (usize, Member, Error)>
    where
        F: Future<Output = Result<T, Error>>,
    {
        let first_place = first.place;
        let mut one = pin!(Self::send(self.target(first_place), first, send));
        match select(one.as_mut(), pin!(sleep(after))).await {
            Either::Left((sent, _)) => return sent,
            Either::Right(_) => {}
        }
        self.tried.push(first_place);
        let second = self.pick_now(now());
        self.tried.retain(|place| *place != first_place);
        let Some(second) = second.filter(|_| self.fleet.budget().take(now())) else { return one.await };
        let second_place = second.place;
        let two = pin!(Self::send(self.target(second_place), second, send));
        match select(one, two).await {
            Either::Left((Ok(answered), _)) | Either::Right((Ok(answered), _)) => Ok(answered),
            Either::Left((Err(_), two)) => {
                self.tried.push(first_place);
                two.await
            }
            Either::Right((Err(_), one)) => {
                self.tried.push(second_place);
                one.await
            }
        }
    }

    /// Decides whether the request is sent again, and waits for that.
    async fn after_failure(&mut self, place: usize, member: &Member, error: Error) -> Result<(), Error> {
        let verdict = member.verdict(&error);
        self.attempts += 1;
        let config = self.fleet.resilience().retry;
        if verdict == Verdict::Final || self.attempts >= config.attempts {
            return Err(error);
        }
        self.tried.push(place);
        let now = now();
        let is_other = self.places_now(now).next().is_some();
        if !is_other && verdict != Verdict::Again {
            return Err(error);
        }
        if !self.fleet.budget().take(now) {
            tracing::warn!(backend = member.name(), "no retry: too many requests fail");
            return Err(error);
        }
        tracing::debug!(backend = member.name(), %error, attempt = self.attempts, is_other, "sending a request again");
        if !is_other {
            let Some(pause) = retry::pause(&config, self.attempts, error.retry_after(), fastrand::f64()) else {
                return Err(error);
            };
            sleep(pause).await;
            // Of those that were tried only this one: it is its pause that was waited for.
            self.tried.retain(|other| *other != place);
        }
        self.last = Some(error);
        Ok(())
    }

    fn pick(&self) -> Result<Picked, Error> {
        let now = now();
        self.pick_now(now).ok_or_else(|| self.nobody(now))
    }

    /// The best target that is neither tried nor shut.
    fn pick_now(&self, now: Instant) -> Option<Picked> {
        let mut refused = Vec::new();
        loop {
            let places: Vec<usize> = self.places_now(now).filter(|place| !refused.contains(place)).collect();
            let place = self.best(&places, now)?;
            let member = self.member(place)?;
            // Another request may have become the probe of a half-open breaker meanwhile.
            if let Some(ticket) = member.vitals().begin(self.load, now) {
                return Some(Picked { place, member, ticket });
            }
            refused.push(place);
        }
    }

    fn places_now(&self, now: Instant) -> impl Iterator<Item = usize> + '_ {
        (0..self.route.targets.len()).filter(move |place| {
            let is_open = |member: Member| member.vitals().shut_for(now).is_none();
            !self.tried.contains(place) && self.member(*place).is_some_and(is_open)
        })
    }

    /// Of the lowest rank those that are well, else of the next; only then those that are not.
    fn best(&self, places: &[usize], now: Instant) -> Option<usize> {
        if let [only] = places {
            return Some(*only);
        }
        let members: Vec<(usize, Member)> =
            places.iter().filter_map(|place| Some((*place, self.member(*place)?))).collect();
        self.eject(&members, now);
        let is_well = |member: &Member| !member.is_failed() && !member.vitals().is_spared(now);
        let key = |(place, member): &(usize, Member)| (!is_well(member), self.route.targets[*place].rank);
        let lowest = members.iter().map(key).min()?;
        let group: Vec<&(usize, Member)> = members.iter().filter(|entry| key(entry) == lowest).collect();
        let candidates: Vec<Candidate<'_>> =
            group.iter().map(|(_, member)| Candidate { name: member.name(), load: member.vitals().load() }).collect();
        balance::choose(&candidates, self.key).map(|index| group[index].0)
    }

    /// Leaves out the replica that does worst, when it does clearly worse.
    fn eject(&self, members: &[(usize, Member)], now: Instant) {
        let Some(rank) = members.iter().map(|(place, _)| self.route.targets[*place].rank).min() else { return };
        let replicas: Vec<&Member> = members
            .iter()
            .filter(|(place, _)| self.route.targets[*place].rank == rank)
            .map(|(_, member)| member)
            .collect();
        if replicas.len() < 2 {
            return;
        }
        let records: Vec<_> = replicas.iter().map(|member| member.vitals().record()).collect();
        let out: Vec<bool> = replicas.iter().map(|member| member.vitals().is_ejected(now)).collect();
        if let Some(worst) = outlier::worst(&records, &out) {
            let time = self.fleet.resilience().eject_for;
            tracing::warn!(backend = replicas[worst].name(), ?time, "left out: it does worse than the other replicas");
            replicas[worst].vitals().eject(now, time);
        }
    }

    fn target(&self, place: usize) -> Target {
        self.route.targets[place].clone()
    }

    fn member(&self, place: usize) -> Option<Member> {
        self.fleet.member(&self.route.targets[place].backend)
    }

    /// What a request is told that nobody may take now.
    fn nobody(&self, now: Instant) -> Error {
        if let Some(error) = &self.last {
            return error.clone();
        }
        let shut = self.route.targets.iter().filter_map(|target| {
            let member = self.fleet.member(&target.backend)?;
            Some((target, member.vitals().shut_for(now)?))
        });
        match shut.min_by_key(|(_, time)| *time) {
            Some((target, time)) => Error::Unavailable {
                backend: target.backend.clone(),
                message: "it failed again and again and is left alone for a while".to_owned(),
                retry_after: Some(time),
            },
            None => {
                tracing::error!(route = ?self.route, "a route leads to backends that do not exist");
                Error::Internal
            }
        }
    }
}
