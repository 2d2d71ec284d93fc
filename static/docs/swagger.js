"use strict";

const place = document.getElementById("description");
SwaggerUIBundle({
  url: place.dataset.url,
  domNode: place,
  deepLinking: true,
  displayRequestDuration: true,
  // Swagger's own badge asks a server of theirs.
  validatorUrl: null,
});
