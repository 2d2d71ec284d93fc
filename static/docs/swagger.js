"use strict";

const container = document.getElementById("description");
SwaggerUIBundle({
  url: container.dataset.url,
  domNode: container,
  deepLinking: true,
  displayRequestDuration: true,
  // Swagger's badge would ask a server of its makers.
  validatorUrl: null,
});
