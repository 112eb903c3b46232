"""The simulated models that are no chat: a Responses API, an image endpoint, and films as jobs."""

from __future__ import annotations

import asyncio
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass

import orjson
from aiohttp import web

from polylogue.simulator import case_server, chunks, drawn, media
from polylogue.simulator.generations import Generation
from polylogue.simulator.requests import ChatRequest
from polylogue.simulator.serving import CACHE, GENERATIONS, json_response, read_request, refusal
from polylogue.simulator.streaming import ClientGoneError, write_paced

PENDING_POLLS = 2  # unless `delay` says how long the job takes
MOST_JOBS = 1000

Respond = Callable[[web.Request, ChatRequest, Generation], Awaitable[web.StreamResponse]]


@dataclass(kw_only=True)
class Job:
    asked: ChatRequest
    recipe: media.Film
    began: float
    polls: int = 0

    def state(self) -> str:
        if self.asked.options.delay:
            waited = time.monotonic() - self.began
            return "completed" if waited >= self.asked.options.delay else "in_progress"
        if self.polls > PENDING_POLLS:
            return "completed"
        return "pending" if self.polls <= 1 else "in_progress"


_JOBS = web.AppKey("jobs", OrderedDict[str, Job])


async def _answer(request: web.Request, respond: Respond) -> web.StreamResponse:
    asked = await read_request(request, prompted=True)
    if isinstance(asked, web.Response):
        return asked
    if case_server.is_case(asked):
        return await case_server.answer(request, asked)
    generations = request.app[GENERATIONS]
    generation = generations.start(
        f"gen-{time.time_ns()}", asked.asked_model, asked.prompt, stream=asked.stream
    )
    try:
        return await respond(request, asked, generation)
    except ClientGoneError:
        return web.Response(status=499)
    finally:
        generations.end(generation, "aborted")


async def _drawn(
    question: tuple[web.Request, ChatRequest, Generation], answers: drawn.Answers
) -> web.StreamResponse:
    request, asked, generation = question
    cache = request.app[CACHE]
    made = await asyncio.to_thread(lambda: drawn.draw(asked, cache.make))
    sent = [media.sent(recipe, content) for recipe, content in zip(made.recipes, made.pictures, strict=True)]

    def finish() -> None:
        generation.media += sent
        request.app[GENERATIONS].end(generation, "finished")

    if not asked.stream:
        await asyncio.sleep(asked.options.delay)
        finish()
        return json_response(answers.whole(asked, made))
    pace = asked.model.pace if asked.options.pace is None else asked.options.pace
    events = answers.events(asked, made)
    return await write_paced(request, events, generation, delay=asked.options.delay, pace=pace, finish=finish)


async def _responses(request: web.Request) -> web.StreamResponse:
    return await _answer(request, lambda *asked: _drawn(asked, drawn.RESPONSES))


async def _images(request: web.Request) -> web.StreamResponse:
    return await _answer(request, lambda *asked: _drawn(asked, drawn.IMAGES))


async def _speech(request: web.Request) -> web.StreamResponse:
    async def none(_: web.Request, asked: ChatRequest, __: Generation) -> web.StreamResponse:
        return json_response(chunks.error_body(400, f"{asked.model.id} does not speak."), 400)

    return await _answer(request, none)


async def _order(request: web.Request) -> web.StreamResponse:
    async def order(request: web.Request, asked: ChatRequest, generation: Generation) -> web.StreamResponse:
        jobs = request.app[_JOBS]
        job_id = f"job-{request.app[GENERATIONS].order_job()}"
        seed = media.seed_of(asked.model.id, asked.prompt, asked.seed)
        recipe = media.Film(prompt=asked.prompt, seed=seed, size=asked.options.size)
        jobs[job_id] = Job(asked=asked, recipe=recipe, began=time.monotonic())
        if len(jobs) > MOST_JOBS:
            jobs.popitem(last=False)
        request.app[GENERATIONS].end(generation, "finished")
        body = {"id": job_id, "polling_url": f"{request.path}/{job_id}", "status": "pending"}
        return json_response(body, 202)

    return await _answer(request, order)


async def _poll(request: web.Request) -> web.StreamResponse:
    refused = refusal(request)
    if refused is not None:
        return refused
    request.app[GENERATIONS].poll_job()
    job_id = request.match_info["job_id"]
    if case_server.is_case_job(job_id):
        return await case_server.poll(request, job_id)
    job = request.app[_JOBS].get(job_id)
    if job is None:
        return json_response(chunks.error_body(404, "No such job."), 404)
    job.polls += 1
    body: chunks.Json = {"id": job_id, "status": job.state(), "model": job.asked.asked_model}
    if body["status"] == "completed":
        body["unsigned_urls"] = [f"{request.url.origin()}{request.path}/content?index=0"]
        body["usage"] = {"cost": drawn.FILM_PRICE}
    return json_response(body)


async def _content(request: web.Request) -> web.StreamResponse:
    refused = refusal(request)
    if refused is not None:
        return refused
    job_id = request.match_info["job_id"]
    if case_server.is_case_job(job_id):
        return await case_server.film(request)
    job = request.app[_JOBS].get(job_id)
    if job is None or job.state() != "completed":
        return json_response(chunks.error_body(404, "No such film."), 404)
    film = await asyncio.to_thread(request.app[CACHE].make, job.recipe)
    return web.Response(body=film, content_type=job.recipe.content_type)


async def _jobs(request: web.Request) -> web.Response:
    """What was ordered, with the fingerprint of each film, so that tests can compare."""
    make = request.app[CACHE].make
    listed = [
        {
            "id": job_id,
            "model": job.asked.asked_model,
            "polls": job.polls,
            "state": job.state(),
            "sha256": media.sent(job.recipe, await asyncio.to_thread(make, job.recipe)).sha256,
        }
        for job_id, job in request.app[_JOBS].items()
    ]
    return web.Response(body=orjson.dumps({"data": listed}), content_type="application/json")


def add_routes(app: web.Application, prefixes: tuple[str, ...]) -> None:
    app[_JOBS] = OrderedDict()
    case_server.add_routes(app)
    for prefix in prefixes:
        app.router.add_post(f"{prefix}/responses", _responses)
        app.router.add_post(f"{prefix}/images/generations", _images)
        app.router.add_post(f"{prefix}/audio/speech", _speech)
        app.router.add_post(f"{prefix}/videos", _order)
        app.router.add_get(f"{prefix}/videos/{{job_id}}", _poll)
        app.router.add_get(f"{prefix}/videos/{{job_id}}/content", _content)
    app.router.add_get("/sim/jobs", _jobs)
