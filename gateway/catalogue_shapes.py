"""The shape of a catalogue file: each file of ``catalogue/`` is a ``FileShape``. What has no name here is refused."""

from datetime import date
from typing import Any, Literal

import msgspec


class Shape(msgspec.Struct, forbid_unknown_fields=True):
    pass


class ExchangeRate(Shape):
    """What ``CNY`` yuan are worth: ``USD`` dollars. Written as the source prints it; applied exactly."""

    date: date
    CNY: str
    USD: str
    source: str


class GroupShape(Shape):
    slug: str
    name: str
    description: str
    position: int


class RouteShape(Shape):
    """Lower priorities are tried first (left out: in the order written); equals share the calls by weight."""

    upstream: str
    upstream_model: str
    priority: int | None = None
    weight: int = 1


class TokenAmounts(Shape, kw_only=True):
    """An amount left out or null is billed as ``input`` (``cache_write_1h``: as ``cache_write``)."""

    input: str
    cached_input: str | None = None
    cache_write: str | None = None
    cache_write_1h: str | None = None
    output: str


class TierShape(TokenAmounts):
    """Rates of the whole request once its prompt exceeds the threshold."""

    above_input_tokens: int


class TokenCost(TokenAmounts, kw_only=True):
    tiers: list[TierShape] = []


class TokenPrice(TokenCost):
    since: date = msgspec.field(name="from")
    unit: Literal["USD per million tokens"]
    cost: Literal["same", "none"] | TokenCost  # what the upstream charges us
    source: str


class MediaCost(Shape, kw_only=True):
    """``rates`` by what the vendor distinguishes, in one or two levels: resolution, mode, sound, size.

    A null rate is not for sale.
    """

    rates: dict[str, str | dict[str, str | None] | None]
    #: a size given in pixels costs as the dearest preset above the boundary, else as the cheapest
    tier_boundary_pixels: int | None = None
    free_input_images: int = 0  # the first so many are not charged as ``input_image``


class MediaPrice(MediaCost, kw_only=True):
    since: date = msgspec.field(name="from")
    unit: Literal[
        "USD per image",
        "USD per second",
        "CNY per second",
        "USD per million video tokens",
        "CNY per million video tokens",
    ]
    not_for_sale: dict[str, str] = {}  # every null rate, with the reason
    cost: Literal["same", "none"] | MediaCost
    source: str


class ChatSupports(Shape):
    streaming: bool
    tools: bool
    parallel_tools: bool
    json_schema: bool
    json_mode: bool
    vision: bool
    pdf_input: bool
    audio_input: bool
    video_input: bool
    reasoning: bool
    prompt_cache: bool
    cache_control: bool
    sampling_params: bool
    forced_tool_choice: bool


class ImageSupports(Shape):
    text_to_image: bool
    image_edit: bool
    streaming: bool
    sequential: bool
    watermark: bool
    web_search: bool
    max_reference_images: int
    max_images_per_request: int
    size_presets: list[str]
    min_pixels: int
    max_pixels: int | None
    response_formats: list[str]
    output_formats: list[str]


class VideoSupports(Shape):
    text_to_video: bool
    image_to_video: bool
    first_last_frame: bool
    audio_output: bool
    async_task: bool
    callback: bool
    cancel: bool | Literal["queued only"]
    durations: tuple[int, int]  # seconds, least and most
    resolutions: list[str]
    aspect_ratios: list[str]
    seed: bool
    duration_auto: int | None = None  # the value that lets the model decide
    reference_images: int = 0
    reference_videos: int = 0
    reference_audio: bool = False
    draft: bool = False
    negative_prompt: bool = False
    cfg_scale: bool = False
    mode: str | None = None
    upstream_model_i2v: str | None = None  # the vendor's other id, for a request with a first image


class ModelShape(Shape, kw_only=True):
    id: str
    name: str
    description: str
    input_modalities: list[Literal["text", "image", "audio", "video", "file"]]
    output_modalities: list[Literal["text", "image", "audio", "video"]]
    routes: list[RouteShape]
    retires_on: date | None = None
    successor: str = ""
    notes: list[str] = []


class ChatModel(ModelShape):
    kind: Literal["chat"]
    context_window: int
    max_output_tokens: int | None  # null: the vendor publishes none
    supports: ChatSupports
    prices: list[TokenPrice]


class ImageModel(ModelShape):
    kind: Literal["image"]
    supports: ImageSupports
    prices: list[MediaPrice]


class VideoModel(ModelShape):
    kind: Literal["video"]
    supports: VideoSupports
    prices: list[MediaPrice]


class FileShape(Shape, kw_only=True):
    group: GroupShape
    exchange_rate: ExchangeRate | None = None
    models: list[dict[str, Any]]
