"""Sends a wire case over HTTP, what befalls the connection included."""

from __future__ import annotations

import asyncio

from aiohttp import web

from polylogue.simulator import case_endpoints, case_media, chunks
from polylogue.simulator.case_replies import Reply
from polylogue.simulator.case_switch import job_of, reply_to
from polylogue.simulator.cases import CASES, MODELS
from polylogue.simulator.requests import ChatRequest
from polylogue.simulator.serving import GENERATIONS, json_response
from polylogue.simulator.streaming import ClientGoneError

FILLING = b"A" * 65_536
MOST_JOBS = 1000

_POLLS = web.AppKey("case_polls", dict[str, int])


def is_case(asked: ChatRequest) -> bool:
    return asked.model.id in MODELS.values()


async def answer(request: web.Request, asked: ChatRequest) -> web.StreamResponse:
    options = asked.options
    case = CASES.get(options.case or "")
    if case is None or MODELS[case.endpoint] != asked.model.id:
        request.app[GENERATIONS].refuse()
        message = f"{asked.model.id} wants one of its own cases, such as {_example(asked.model.id)}."
        return json_response(chunks.error_body(400, message), 400)
    generations = request.app[GENERATIONS]
    generation = generations.start(f"gen-{case.id}", asked.asked_model, asked.prompt, stream=asked.stream)
    try:
        if case.endpoint == "videos":
            number = generations.order_job()
            reply = _filled(request, job_of(case.id).order, f"case.{case.id}.{number}")
        else:
            reply = await asyncio.to_thread(reply_to, case.id, options.size)
        return await _send(request, reply)
    except ClientGoneError:
        return web.Response(status=499)
    finally:
        generations.end(generation, "aborted")


def is_case_job(job_id: str) -> bool:
    return job_id.startswith("case.") and job_id.split(".")[1] in CASES


async def poll(request: web.Request, job_id: str) -> web.StreamResponse:
    """The next answer about the job; the last one repeats."""
    answers = job_of(job_id.split(".")[1]).polls
    polls = request.app[_POLLS]
    done = polls.pop(job_id, 0)
    polls[job_id] = done + 1
    if len(polls) > MOST_JOBS:
        del polls[next(iter(polls))]
    return await _send(request, _filled(request, answers[min(done, len(answers) - 1)], job_id))


async def film(_: web.Request) -> web.Response:
    return web.Response(body=await asyncio.to_thread(case_media.film), content_type="video/mp4")


def add_routes(app: web.Application) -> None:
    app[_POLLS] = {}
    app.router.add_get(case_endpoints.FILM_PATH, film)


def _example(model: str) -> str:
    return next(case.switch for case in CASES.values() if case.switch.startswith(f"{model}:"))


def _filled(request: web.Request, reply: Reply, job_id: str) -> Reply:
    return case_endpoints.filled(reply, job=job_id, origin=str(request.url.origin()))


async def _send(request: web.Request, reply: Reply) -> web.StreamResponse:
    if reply.silent:
        await asyncio.Event().wait()
    response = web.StreamResponse(
        status=reply.status, headers={"Content-Type": reply.content_type, **reply.headers}
    )
    try:
        await response.prepare(request)
        for piece in reply.pieces:
            await response.write(piece)
            await asyncio.sleep(0)  # the client gets its turn between two fragments
        while reply.end == "endless":
            await response.write(FILLING)
        if reply.end == "stall":
            await asyncio.Event().wait()
        if reply.end == "drop" and request.transport is not None:
            request.transport.close()
        else:
            await response.write_eof()
    except ConnectionError as error:
        raise ClientGoneError from error
    return response
