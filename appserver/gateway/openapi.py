"""The OpenAPI document that a GPT Action is set up with: the operations that an Action can use, and no more."""

from __future__ import annotations

from typing import Any

from appserver import __version__
from appserver.gateway.oauth.pages import MEANINGS
from appserver.gateway.scopes import MODELS, RESPONSES


def document(public_url: str) -> dict[str, Any]:
    """Return the document. `public_url`: where the gateway is reached."""
    return {
        "openapi": "3.1.0",
        "info": {"title": "appserverd gateway", "version": __version__},
        "servers": [{"url": public_url}],
        "paths": {
            "/v1/models": {"get": _operation("listModels", "List the models", MODELS)},
            "/v1/responses": {"post": _operation("createResponse", "Have a model answer", RESPONSES, _RESPONSE)},
            "/v1/chat/completions": {
                "post": _operation("createChatCompletion", "Have a model go on with a chat", RESPONSES, _CHAT)
            },
        },
        "components": {
            "schemas": {},  # GPT Actions want the member, empty or not
            "securitySchemes": {
                "oauth": {
                    "type": "oauth2",
                    "flows": {
                        "authorizationCode": {
                            "authorizationUrl": f"{public_url}/oauth/authorize",
                            "tokenUrl": f"{public_url}/oauth/token",
                            "refreshUrl": f"{public_url}/oauth/token",
                            "scopes": MEANINGS,
                        }
                    },
                }
            },
        },
    }


_TEXT = {"type": "string"}

_RESPONSE = {
    "type": "object",
    "required": ["model", "input"],
    "properties": {
        "model": {**_TEXT, "description": "The id of a model, as listModels tells it"},
        "input": {**_TEXT, "description": "What the model is to answer"},
        "instructions": {**_TEXT, "description": "How it is to answer"},
    },
}

_CHAT = {
    "type": "object",
    "required": ["model", "messages"],
    "properties": {
        "model": {**_TEXT, "description": "The id of a model, as listModels tells it"},
        "messages": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["role", "content"],
                "properties": {
                    "role": {**_TEXT, "enum": ["system", "user", "assistant"]},
                    "content": _TEXT,
                },
            },
        },
    },
}

_ERROR = {
    "type": "object",
    "properties": {
        "error": {
            "type": "object",
            "properties": {"message": _TEXT, "type": _TEXT, "param": _TEXT, "code": _TEXT},
        }
    },
}


def _operation(name: str, summary: str, scope: str, body: dict[str, Any] | None = None) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "operationId": name,
        "summary": summary,
        "security": [{"oauth": [scope]}],
        "responses": {
            "200": {"description": "It worked", "content": _json({"type": "object", "properties": {}})},
            "default": {"description": "It did not", "content": _json(_ERROR)},
        },
    }
    return operation if body is None else {**operation, "requestBody": {"required": True, "content": _json(body)}}


def _json(schema: dict[str, Any]) -> dict[str, Any]:
    return {"application/json": {"schema": schema}}
