#!/usr/bin/env python3
"""Concurrent streams against any OpenAI-compatible server: throughput, and the gaps between chunks.

    bench/streams.py --url http://127.0.0.1:7117/v1 --model small throughput --streams 1,8,32
    bench/streams.py --url http://127.0.0.1:7117/v1 --model small gaps --streams 8 --prompt-words 1500

`throughput`: N streams of T tokens each, for each N, in rounds; medians over the rounds. `gaps`: a long
prompt arrives while N streams run; prints the distribution of gaps between the chunks of the running
streams before, while it is read, and after. Only Python's own library, so that the client costs little.
Servers that do not know `ignore_eos` may end early: the number of tokens is taken from `usage`.
"""

import argparse
import asyncio
import statistics
import time

from client import run


def body(args, number, tokens, text=None):
    return {
        "model": args.model,
        "messages": [{"role": "user", "content": text or f"Story {number}: tell me about a lighthouse and its keeper."}],
        "max_tokens": tokens,
        "temperature": 0.7,
        "seed": number,
        "ignore_eos": True,
        "stream": True,
        "stream_options": {"include_usage": True},
    }


def show(name, gaps):
    if not gaps:
        print(f"{name:28} none")
        return
    ordered = sorted(gaps)
    at = lambda share: 1e3 * ordered[min(len(ordered) - 1, int(share * len(ordered)))]
    print(
        f"{name:28} {len(gaps):6} gaps  p50 {at(0.5):7.1f}  p90 {at(0.9):7.1f}  p99 {at(0.99):7.1f}  max {1e3 * ordered[-1]:7.1f} ms"
    )


async def throughput(args):
    counts = [int(count) for count in args.streams.split(",")]
    rates = {count: [] for count in counts}
    firsts, longest = {count: [] for count in counts}, {count: 0.0 for count in counts}
    await run(args.url, body(args, 0, 8))
    for round_number in range(args.rounds):
        for count in counts:
            began = time.perf_counter()
            requests = (body(args, 1000 * round_number + number, args.tokens) for number in range(count))
            streams = await asyncio.gather(*(run(args.url, request) for request in requests))
            took = max(stream.ended for stream in streams) - began
            rates[count].append(sum(stream.tokens for stream in streams) / took)
            firsts[count].append(max(stream.times[0] for stream in streams) - began)
            longest[count] = max([longest[count]] + [gap for stream in streams for gap in stream.gaps])
            side_by_side = max(stream.times[0] for stream in streams) < min(stream.ended for stream in streams)
            if not side_by_side:
                print(f"note: with {count} streams one ended before another had begun")
    one = statistics.median(rates[counts[0]])
    for count in counts:
        rate = statistics.median(rates[count])
        print(
            f"{count:3} streams: {rate:7.1f} tok/s ({rate / one:4.2f}x; {min(rates[count]):.1f} to {max(rates[count]):.1f}), "
            f"slowest first token {1e3 * statistics.median(firsts[count]):.0f} ms, longest gap {1e3 * longest[count]:.0f} ms"
        )


async def gaps(args):
    count = int(args.streams)
    seen = 0
    ready = asyncio.Event()

    def on_chunk():
        nonlocal seen
        seen += 1
        if seen >= 20 * count:
            ready.set()

    await run(args.url, body(args, 0, 8))
    tasks = [asyncio.create_task(run(args.url, body(args, number, args.tokens), on_chunk)) for number in range(count)]
    await ready.wait()
    words = " ".join(f"word{number % 97}" for number in range(args.prompt_words // 3))
    long = await run(args.url, body(args, 99, 4, f"{words}\nSummarise."))
    streams = await asyncio.gather(*tasks)
    begin, end = long.started, long.times[0]
    print(f"the long prompt's first token came after {1e3 * (end - begin):.0f} ms")
    split = {"before": [], "while the prompt is read": [], "after": []}
    for stream in streams:
        for before, after in zip(stream.times, stream.times[1:]):
            name = "before" if after < begin else "after" if before > end else "while the prompt is read"
            split[name].append(after - before)
    for name, found in split.items():
        show(name, found)


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--url", default="http://127.0.0.1:7117/v1")
    parser.add_argument("--model", default="small")
    kinds = parser.add_subparsers(required=True)
    kind = kinds.add_parser("throughput")
    kind.add_argument("--streams", default="1,8,32")
    kind.add_argument("--tokens", type=int, default=64)
    kind.add_argument("--rounds", type=int, default=5)
    kind.set_defaults(run=throughput)
    kind = kinds.add_parser("gaps")
    kind.add_argument("--streams", default="8")
    kind.add_argument("--tokens", type=int, default=200)
    kind.add_argument("--prompt-words", type=int, default=1500, help="about this many tokens")
    kind.set_defaults(run=gaps)
    args = parser.parse_args()
    asyncio.run(args.run(args))


if __name__ == "__main__":
    main()
